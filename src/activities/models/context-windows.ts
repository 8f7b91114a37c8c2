/** Tokens that a model takes in, by the beginnings of model names, longest first. Source: OpenAI's model pages, December 2025. */
const windows: readonly (readonly [prefix: string, tokens: number])[] = [
  ['gpt-4.1', 1_047_576],
  ['gpt-5.2-chat', 128_000],
  ['gpt-5.1-chat', 128_000],
  ['gpt-5-chat', 128_000],
  ['gpt-5', 400_000],
  ['gpt-4o', 128_000],
  ['gpt-4-turbo', 128_000],
  ['gpt-4-0613', 8_192],
  ['gpt-3.5-turbo', 16_385],
  ['codex-mini', 200_000],
  ['o4-mini', 200_000],
  ['o3', 200_000],
  ['o1-mini', 128_000],
  ['o1', 200_000],
];

/** What is assumed of a model that is not in the table. */
export const defaultContextWindow = 128_000;

/** A token is about four bytes of text, of most languages and of JSON. */
export const bytesPerToken = 4;

/** The context window of a model in tokens. */
export function contextWindow(model: string): number {
  return windows.find(([prefix]) => model.startsWith(prefix))?.[1] ?? defaultContextWindow;
}
