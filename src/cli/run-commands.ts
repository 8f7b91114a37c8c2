import { readFile } from 'node:fs/promises';
import { text as readText } from 'node:stream/consumers';
import { WorkflowFailedError } from '@temporalio/client';
import type { CadenzaClient } from '../client/client.ts';
import type { RunHandle } from '../client/run-handle.ts';
import { describeThrown } from '../protocol/failures.ts';
import type { Json } from '../protocol/protocol.ts';
import { tellOfTrouble, warnWithoutWorkers } from './tell-of-trouble.ts';
import { exitCodes, plain, printJson, printLine, printOutput, styled, UsageError, warn } from './terminal.ts';

/** Options of `run`. */
export interface RunOptions {
  id?: string;
  inputFile?: string;
  detach?: boolean;
  json?: boolean;
}

/** Starts an agent with what was typed, read from a file or piped in, and waits for what it answers. */
export async function runAgent(
  client: CadenzaClient,
  agent: string,
  typed: string | undefined,
  { id, inputFile, detach, json }: RunOptions,
): Promise<number> {
  const input = await inputOf(typed, inputFile);
  await warnWithoutWorkers(client);
  const run = await client.start(agent, input, id === undefined ? {} : { id });
  if (detach) {
    if (json) printJson({ workflowId: run.workflowId });
    else printLine(run.workflowId);
    return exitCodes.ok;
  }
  if (!json) warn(styled('dim', run.workflowId, process.stderr));
  const ended = new AbortController();
  const telling = [
    tellOfTrouble(client, run.workflowId, ended.signal),
    ...(json ? [] : [tellOfWaiting(run, ended.signal)]),
  ];
  try {
    return await waitFor(run, json === true);
  } finally {
    ended.abort();
    await Promise.all(telling);
  }
}

/** Says when a call waits for a person, who would otherwise wait for the run. */
async function tellOfWaiting(run: RunHandle<Json>, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of run.events({ signal })) {
      if (event.type !== 'waiting') continue;
      const call = `${run.workflowId}#${event.call}`;
      warn(
        styled(
          'yellow',
          plain(`${event.tool} waits for a person: cadenza approve '${call}'`),
          process.stderr,
        ),
      );
    }
  } catch {
    // The run's own end says what is wrong.
  }
}

/** What the agent is asked: as it was typed, from a file, or piped in. */
export async function inputOf(typed: string | undefined, file: string | undefined): Promise<Json> {
  if (typed === undefined && file === undefined && process.stdin.isTTY)
    throw new UsageError('say what the agent is asked: as an argument, by --input-file, or piped in');
  const source = file === undefined ? (typed ?? (await readText(process.stdin))) : await readInputFile(file);
  if (source.trim() === '')
    throw new UsageError(
      `${file ?? (typed === undefined ? 'what was piped in' : 'the input')} is empty: say what the agent is asked, as an argument, by --input-file, or piped in`,
    );
  try {
    const value = JSON.parse(source) as Json;
    // A number or a word is what somebody says, an object is an input.
    return typeof value === 'object' && value !== null ? value : source.trim();
  } catch {
    return source.trim();
  }
}

async function readInputFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    throw new UsageError(`${file} cannot be read: ${describeThrown(thrown)}`);
  }
}

async function waitFor(run: RunHandle<Json>, json: boolean): Promise<number> {
  try {
    const result = await run.result();
    if (json) printJson({ workflowId: run.workflowId, ...result });
    else printOutput(result.output);
    return exitCodes.ok;
  } catch (thrown) {
    if (!(thrown instanceof WorkflowFailedError)) throw thrown;
    const { type } = (thrown.cause ?? {}) as { type?: string };
    const message = describeThrown(thrown.cause ?? thrown);
    if (json)
      printJson({ workflowId: run.workflowId, failure: { type: type ?? thrown.cause?.name, message } });
    else warn(styled('red', plain(`${type ?? 'the run ended'}: ${message}`)));
    return exitCodes.failed;
  }
}
