import type { AnyAgent } from './define-agent.ts';

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether it is a name that the providers accept. */
export function isName(name: unknown): boolean {
  return typeof name === 'string' && namePattern.test(name);
}

/** Notes what is wrong with how an agent's conversations are shortened. */
export function checkCompaction(
  { compaction, contextWindow }: AnyAgent,
  note: (problem: string) => void,
): void {
  if (contextWindow !== undefined && !(contextWindow >= 1_000 && Number.isFinite(contextWindow)))
    note('contextWindow must be a number of tokens, at least 1000');
  if (compaction === undefined || compaction === false) return;
  const { with: how = 'model', at = 0.5, keep = 0.5 } = compaction;
  if (how !== 'model' && how !== 'truncate') note('compaction.with must be "model" or "truncate"');
  for (const [name, value] of Object.entries({ at, keep })) {
    if (!(value > 0 && value < 1)) note(`compaction.${name} must be between 0 and 1`);
  }
}

/** Notes what is wrong with an agent's guardrails. */
export function checkGuardrails(
  { inputGuardrails = [], outputGuardrails = [] }: AnyAgent,
  note: (problem: string) => void,
): void {
  for (const [index, { name, check, onTrip = 'end' }] of [
    ...inputGuardrails,
    ...outputGuardrails,
  ].entries()) {
    if (typeof name !== 'string' || typeof check !== 'function')
      note(`guardrail ${index + 1} needs a name and a check`);
    if (!['end', 'tell'].includes(onTrip)) note(`guardrail "${name}": onTrip must be "end" or "tell"`);
  }
}

/** Notes what is wrong with an agent's servers of tools. */
export function checkMcpServers({ mcpServers = [] }: AnyAgent, note: (problem: string) => void): void {
  const names = new Set<string>();
  for (const [index, server] of mcpServers.entries()) {
    const what = `mcpServers[${index}]`;
    if (!isName(server.name)) note(`${what}: its name must be 1 to 64 letters, digits, "_" or "-"`);
    if (names.has(server.name)) note(`two MCP servers are named "${server.name}"`);
    names.add(server.name);
    if ('url' in server === 'command' in server) note(`${what} needs a command or a url, and not both`);
    else if ('url' in server && !URL.canParse(server.url)) note(`${what}: its url is none`);
  }
}
