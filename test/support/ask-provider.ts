import { openaiProvider } from 'cadenza/worker';
import type { ModelReply } from '../../src/activities/models/model.ts';
import type { DefinitionSnapshot, ModelApi } from '../../src/protocol/protocol.ts';
import { modelRequest } from '../../src/transcript/model-request.ts';

/** How a provider is asked. */
export interface Way {
  api: ModelApi;
  stream: boolean;
}

/** Both APIs, streamed and whole. */
export const ways = (['chat', 'responses'] as const).flatMap((api) =>
  [false, true].map((stream) => ({ api, stream, how: stream ? 'streamed' : 'whole' })),
);

/** Every case in every way. */
export function inEveryWay<Case extends object>(cases: readonly Case[]): (Case & (typeof ways)[number])[] {
  return ways.flatMap((way) => cases.map((each) => ({ ...each, ...way })));
}

/** Says "hello" to a model at a provider, once. */
export async function ask(
  baseURL: string,
  { api, stream }: Way,
  { attempt = 1, timeoutMs = 30_000 } = {},
): Promise<ModelReply> {
  const definition: DefinitionSnapshot = {
    agent: 'solver',
    source: 's',
    api,
    model: 'gpt-5-mini',
    instructions: 'Solve it.',
    tools: [],
  };
  const items = [{ type: 'message' as const, role: 'user' as const, text: 'hello' }];
  return await openaiProvider({ apiKey: 'k', baseURL, api, stream, streamIdle: 300 }).call(
    modelRequest(definition, items),
    { signal: AbortSignal.timeout(timeoutMs), attempt },
  );
}
