import { createInterface, type Interface } from 'node:readline/promises';
import type { CadenzaClient } from '../client/client.ts';
import { describeThrown } from '../protocol/failures.ts';
import type { Json } from '../protocol/protocol.ts';
import { LivePrinter } from './live-printer.ts';
import { tellOfTrouble, warnWithoutWorkers } from './tell-of-trouble.ts';
import { exitCodes, plain, printLine, printOutput, printText, styled, warn } from './terminal.ts';

/** A conversation with an agent, line by line; at a terminal, answers are seen while they are written. */
export async function chat(
  client: CadenzaClient,
  agent: string,
  { id = `chat-${Date.now().toString(36)}` }: { id?: string },
): Promise<number> {
  const isTerminal = process.stdin.isTTY;
  await warnWithoutWorkers(client);
  warn(styled('dim', `conversation ${id}; end it with Ctrl-D, go on later with --id ${id}`, process.stderr));
  const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: isTerminal });
  const prompt = () => {
    if (!isTerminal) return;
    lines.setPrompt('> ');
    lines.prompt();
  };
  const listener = process.stdout.isTTY ? new Listener(client) : undefined;
  prompt();
  for await (const line of lines) {
    if (line.trim() !== '') await converse(client, { agent, id, line, lines, ...(listener && { listener }) });
    prompt();
  }
  listener?.leave();
  return exitCodes.ok;
}

/** Says one thing and prints the answer, which Ctrl-C cuts short. */
async function converse(
  client: CadenzaClient,
  {
    agent,
    id,
    line,
    lines,
    listener,
  }: { agent: string; id: string; line: string; lines: Interface; listener?: Listener },
): Promise<void> {
  listener?.begin();
  const { messageId, reply } = await client.send(agent, id, line);
  const answered = new AbortController();
  void tellOfTrouble(client, id, answered.signal);
  listener?.follow(id);
  const stop = () =>
    void client
      .get(id)
      .stop({ messageId })
      .catch(() => undefined);
  lines.once('SIGINT', stop);
  try {
    const { output, by } = await reply();
    const printed = listener?.end() ?? '';
    if (by !== undefined) printLine(styled('dim', `${plain(by)}:`));
    printRest(output, printed);
  } catch (thrown) {
    if (listener?.end()) printLine();
    if ((thrown as { type?: string }).type !== 'MessageUnanswered') throw thrown;
    warn(styled('dim', describeThrown(thrown), process.stderr));
  } finally {
    answered.abort();
    lines.off('SIGINT', stop);
  }
}

/** What of an answer was not seen while it was written. */
function printRest(output: Json, printed: string): void {
  if (printed !== '' && typeof output === 'string' && output.startsWith(printed))
    return printLine(plain(output.slice(printed.length)));
  if (printed !== '') printText('\n');
  printOutput(output);
}

/** Hears the text of a conversation while it is written, whichever agent has it, and prints it while somebody waits for an answer. */
class Listener {
  private readonly client: CadenzaClient;
  private readonly live = new LivePrinter();
  private readonly followed = new Set<string>();
  private readonly leaving = new AbortController();
  private isWaiting = false;

  constructor(client: CadenzaClient) {
    this.client = client;
  }

  begin(): void {
    this.isWaiting = true;
  }

  /** The answer is there; returns what was printed of it. */
  end(): string {
    this.isWaiting = false;
    return this.live.end();
  }

  leave(): void {
    this.leaving.abort();
  }

  /** Follows a run from now on, and those that it hands over to. */
  follow(workflowId: string): void {
    if (this.followed.has(workflowId)) return;
    this.followed.add(workflowId);
    // What is seen early is a courtesy: the answer comes without it.
    void this.hear(workflowId).catch(() => undefined);
  }

  private async hear(workflowId: string): Promise<void> {
    const { signal } = this.leaving;
    for await (const event of this.client.get(workflowId).events({ text: true, signal })) {
      if (event.type === 'text' && this.isWaiting) this.live.write({ workflowId, ...event });
      if (event.type === 'agent-started' && event.handoff) this.follow(event.workflowId);
    }
  }
}
