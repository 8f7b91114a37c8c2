import type * as openai from 'openai';

/** The `openai` package, as far as a provider needs it. */
export type OpenAIPackage = Pick<typeof openai, 'APIConnectionError' | 'APIError' | 'OpenAI'>;

/** A client that is made when it is first asked for: loading the package takes a quarter of a worker's start, and workers of other providers need none of it. */
export function lazyClient(options: openai.ClientOptions): () => ReturnType<typeof makeClient> {
  let made: ReturnType<typeof makeClient> | undefined;
  return () => (made ??= makeClient(options));
}

async function makeClient(
  options: openai.ClientOptions,
): Promise<{ client: openai.OpenAI; errors: OpenAIPackage }> {
  const errors: OpenAIPackage = await import('openai');
  return { client: new errors.OpenAI(options), errors };
}
