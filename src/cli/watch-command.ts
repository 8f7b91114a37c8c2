import type { CadenzaClient } from '../client/client.ts';
import { checkRun } from './check-run.ts';
import { describeEvent } from './describe-event.ts';
import { describeTimeOfDay } from './describe-time.ts';
import { LivePrinter } from './live-printer.ts';
import { tellOfTrouble } from './tell-of-trouble.ts';
import { exitCodes, plain, printJson, printLine, styled } from './terminal.ts';

/** Runs below that have not ended with the one above are waited for so long: one whose workers are away may never say so. */
const lastWordsMs = 5_000;

/** Prints what happens in a run and in those below it, until it ends. */
export async function watch(
  client: CadenzaClient,
  id: string,
  { json = false }: { json?: boolean },
): Promise<number> {
  await checkRun(client, id);
  const ended = new AbortController();
  const telling = tellOfTrouble(client, id, ended.signal);
  try {
    return await new Watch(client, json).follow(id);
  } finally {
    ended.abort();
    await telling;
  }
}

class Watch {
  private readonly client: CadenzaClient;
  private readonly json: boolean;
  // What is written bit by bit is for people at a terminal.
  private readonly text: boolean;
  private readonly live = new LivePrinter((piece) => styled('dim', piece));
  private readonly below = new Map<string, Promise<unknown>>();
  private readonly over = new AbortController();

  constructor(client: CadenzaClient, json: boolean) {
    this.client = client;
    this.json = json;
    this.text = !json && process.stdout.isTTY;
  }

  /** Follows the run with everything below it; returns the exit code. */
  async follow(id: string): Promise<number> {
    const code = await this.hear(id, '');
    const patience = setTimeout(() => this.over.abort(), lastWordsMs);
    await Promise.all(this.below.values());
    clearTimeout(patience);
    return code;
  }

  /** `place` stands before the lines of a run below: how deep it is, and whose. */
  private async hear(id: string, place: string): Promise<number> {
    let code: number = exitCodes.ok;
    let talks = false;
    const { signal } = this.over;
    for await (const event of this.client.get(id).events({ text: this.text, signal })) {
      talks ||= event.type === 'message';
      if (this.json) printJson({ run: id, ...event });
      else if (event.type === 'text') this.live.write({ workflowId: id, ...event });
      else {
        if (this.live.isWriting) printLine();
        this.live.end();
        const line = describeEvent(event, undefined, talks);
        if (line !== undefined)
          printLine(`${styled('dim', describeTimeOfDay(event.at))} ${styled('dim', place)}${line}`);
      }
      if (event.type === 'agent-started') this.begin(event.workflowId, `${place}  ${plain(event.agent)} | `);
      if (event.type === 'ended') code = exitCodes.failed;
    }
    return code;
  }

  private begin(id: string, place: string): void {
    if (this.below.has(id)) return;
    // The run above says how it ended.
    this.below.set(
      id,
      this.hear(id, place).catch(() => undefined),
    );
  }
}
