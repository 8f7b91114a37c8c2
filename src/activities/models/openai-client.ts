import type * as openai from 'openai';

/** The `openai` package, as far as a provider needs it. */
export type OpenAIPackage = Pick<typeof openai, 'APIConnectionError' | 'APIError' | 'OpenAI'>;

let loaded: Promise<OpenAIPackage> | undefined;

/** Loads the package with the first call: it takes a quarter of a worker's start, and workers of other providers need none of it. */
export function loadOpenAI(): Promise<OpenAIPackage> {
  return (loaded ??= import('openai'));
}

/** A client that is made when it is first asked for. */
export function lazyClient(
  options: openai.ClientOptions,
): () => Promise<{ client: openai.OpenAI; errors: OpenAIPackage }> {
  let client: openai.OpenAI | undefined;
  return async () => {
    const errors = await loadOpenAI();
    client ??= new errors.OpenAI(options);
    return { client, errors };
  };
}
