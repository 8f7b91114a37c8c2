import { writeFile } from 'node:fs/promises';
import type { CadenzaClient } from '../client/client.ts';
import type { ListedRun } from '../client/listed-run.ts';
import type { RunTotals } from '../protocol/protocol.ts';
import type { WaitingCall } from '../client/waiting-call.ts';
import type { SearchStatus } from '../visibility/search-attributes.ts';
import { describeEvent } from './describe-event.ts';
import { describeTime } from './describe-time.ts';
import { describeCost, describeTokens, spendingOf } from './describe-usage.ts';
import { readTree, type RunTree } from './run-tree.ts';
import { hasSearchAttributes } from './setup-command.ts';
import { showHtml } from './show-html.ts';
import {
  brief,
  exitCodes,
  plain,
  printJson,
  printLine,
  printTable,
  styled,
  UsageError,
  warn,
} from './terminal.ts';
import { someAtATime } from '../bounded-work/some-at-a-time.ts';

/** Options of `list`. */
export interface ListCommandOptions {
  state?: string;
  status?: string;
  agent?: string;
  limit: string;
  children?: boolean;
  /** Also what each has used: one more request for each. */
  usage?: boolean;
  json?: boolean;
}

const endings: ReadonlySet<string> = new Set<SearchStatus>(['completed', 'failed', 'cancelled']);
/** Options of `show`. */
export interface ShowOptions {
  json?: boolean;
  html?: string | true;
  runId?: string;
  offline?: boolean;
}

const states: Readonly<Record<string, string>> = {
  running: 'Running',
  completed: 'Completed',
  failed: 'Failed',
  // Temporal's own spelling, and that of its SDK.
  canceled: 'Canceled',
  cancelled: 'Canceled',
  terminated: 'Terminated',
  'timed-out': 'TimedOut',
  'continued-as-new': 'ContinuedAsNew',
};

/** A state in the words of Temporal's queries. */
function stateOf(typed: string): string {
  const state = states[typed.toLowerCase().replaceAll('_', '-')];
  if (state === undefined) throw new UsageError(`--state must be one of ${Object.keys(states).join(', ')}`);
  return state;
}

/** Prints runs, the newest first. */
export async function list(client: CadenzaClient, options: ListCommandOptions): Promise<number> {
  const { state, status, agent, limit, children = false, usage = false, json } = options;
  const most = Number(limit);
  if (!Number.isInteger(most) || most < 1) throw new UsageError('--limit must be a positive whole number');
  if (status !== undefined && !/^[a-z-]+$/.test(status))
    throw new UsageError('--status must be a word such as waiting or paused');
  const searchable = (agent !== undefined || status !== undefined) && (await hasSearchAttributes(client));
  if (status !== undefined && !searchable)
    throw new UsageError('--status needs the search attributes that "cadenza setup" registers');
  const conditions = [
    ...(state === undefined ? [] : [`ExecutionStatus = "${stateOf(state)}"`]),
    ...(status === undefined ? [] : [`CadenzaStatus = "${status}"`]),
    // A run that was terminated could not say so.
    ...(state === undefined && status !== undefined && !endings.has(status)
      ? ['ExecutionStatus = "Running"']
      : []),
    // Runs that had no reply yet, and older ones, have said nothing; their memo is looked at below.
    ...(agent !== undefined && searchable && /^[\w.-]+$/.test(agent)
      ? [`(CadenzaAgent = "${agent}" OR CadenzaAgent IS NULL)`]
      : []),
  ];
  const query = conditions.length > 0 && { query: conditions.join(' AND ') };
  const runs: ListedRun[] = [];
  for await (const run of client.list({ ...query, children })) {
    if (agent !== undefined && run.agent !== agent) continue;
    if (runs.length === most) break;
    runs.push(run);
  }
  // The server gives those that are open before the others.
  runs.sort((one, other) => other.startedAt.getTime() - one.startedAt.getTime());
  const spent = usage
    ? await someAtATime(askedTogether, runs, async (run) => await usageOf(client, run))
    : [];
  if (json) for (const [index, run] of runs.entries()) printJson({ ...run, ...spent[index] });
  const rows = runs.map((run, index) => rowOf(run, usage ? columnsOf(spent[index]) : []));
  const more = usage ? ['TURNS', 'TOKENS', 'COST'] : [];
  if (!json && rows.length > 0) printTable(['AGENT', 'STATE', 'STARTED', ...more, 'ID'], rows);
  if (!json && rows.length === 0) warn('no runs');
  return exitCodes.ok;
}

/** Runs asked at the same time: one whose workers are away takes the whole patience. */
const askedTogether = 16;

async function usageOf(client: CadenzaClient, { workflowId, runId }: ListedRun) {
  return await client.get(workflowId, runId).usage();
}

function rowOf({ agent = '-', state, startedAt, workflowId }: ListedRun, more: string[]): string[] {
  return [agent, state.toLowerCase(), describeTime(startedAt), ...more, workflowId].map(plain);
}

/** Turns, tokens and cost; what nobody can say is unknown, and not 0. */
function columnsOf(spent: RunTotals | undefined): string[] {
  if (!spent) return ['unknown', 'unknown', 'unknown'];
  const { turns, usage, cost } = spent;
  // Nothing was asked: no price is known to be 0.
  if (turns === 0) return ['0', '-', '-'];
  const known = { cost: cost ?? 0, priced: cost !== null };
  return [String(turns), describeTokens(usage), describeCost(known)];
}

/** Shows a run and those below it: as text, as JSON, or as a page. */
export async function show(
  client: CadenzaClient,
  id: string,
  { json, html, runId }: ShowOptions,
): Promise<number> {
  const tree = await readTree(client, id, runId);
  if (json) printJson(tree);
  else if (typeof html === 'string') {
    await writeFile(html, showHtml(tree));
    warn(`written to ${html}`);
  } else if (html) process.stdout.write(showHtml(tree));
  else showText(tree, '');
  return exitCodes.ok;
}

function showText(tree: RunTree, indent: string): void {
  const children = [...tree.children];
  if (tree.gone !== undefined)
    printLine(`${indent}${styled('red', 'its history is gone')}: ${brief(tree.gone)}`);
  // Whoever takes a conversation over has its messages too.
  const talks = tree.events.some(({ type }) => type === 'message');
  for (const event of tree.events) {
    const line = describeEvent(event, 2_000, talks);
    if (line !== undefined) printLine(`${indent}${line}`);
    const child = event.type === 'agent-started' ? children.shift() : undefined;
    if (child) showText(child, `${indent}    `);
  }
  if (indent !== '') return;
  // With those below, as the run's own result says.
  const spent = spendingOf(tree);
  printLine(
    styled(
      'dim',
      spent.turns === 0
        ? `${tree.state.toLowerCase()}, no turns`
        : `${tree.state.toLowerCase()}, ${spent.turns} ${spent.turns === 1 ? 'turn' : 'turns'}, tokens: ${describeTokens(spent.usage)}, cost: ${describeCost(spent)}`,
    ),
  );
}

/** Prints what waits for a person: in one run, or in all open ones. */
export async function approvals(
  client: CadenzaClient,
  id: string | undefined,
  { json }: { json?: boolean },
): Promise<number> {
  const waiting = id === undefined ? await allApprovals(client) : await client.get(id).approvals();
  if (json) for (const call of waiting) printJson(call);
  else if (waiting.length === 0) warn('nothing waits for a person');
  else for (const call of waiting) printLine(describeCall(call));
  return exitCodes.ok;
}

/** A query of a run whose worker is there takes a fraction of a second, and some seconds where it has to read a long history. */
const patienceMs = 8_000;

async function allApprovals(client: CadenzaClient): Promise<WaitingCall[]> {
  const open = 'ExecutionStatus = "Running"';
  // Runs that have said nothing are asked.
  const waiting = ' AND (CadenzaWaiting = true OR CadenzaWaiting IS NULL)';
  const query = (await hasSearchAttributes(client)) ? open + waiting : open;
  const ids: string[] = [];
  for await (const { workflowId } of client.list({ query })) ids.push(workflowId);
  return (await someAtATime(askedTogether, ids, async (id) => await approvalsOf(client, id))).flat();
}

async function approvalsOf(client: CadenzaClient, workflowId: string): Promise<WaitingCall[]> {
  try {
    return await client.temporal.withDeadline(
      Date.now() + patienceMs,
      async () => await client.get(workflowId).approvals(),
    );
  } catch (thrown) {
    warn(`${plain(workflowId)} did not answer: ${brief(thrown instanceof Error ? thrown.message : thrown)}`);
    return [];
  }
}

function describeCall({
  id,
  agent,
  tool,
  arguments: input,
  since,
  deferred,
  uncertain,
  escalatedTo,
}: WaitingCall): string {
  const what = uncertain
    ? `may have happened: ${brief(uncertain.why)}`
    : deferred
      ? 'waits for its result'
      : 'waits for leave to run';
  const head = `${styled('bold', plain(id))}\n  ${plain(agent)}: ${styled('cyan', plain(tool))} ${brief(input, 400)}`;
  const whom = escalatedTo === undefined ? '' : `, gone to ${plain(escalatedTo)},`;
  return `${head}\n  ${styled('yellow', what)}${whom} since ${describeTime(since)}`;
}
