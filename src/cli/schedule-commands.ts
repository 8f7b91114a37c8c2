import { ScheduleAlreadyRunning, ScheduleNotFoundError, type ScheduleDescription } from '@temporalio/client';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { Option, type Command } from 'commander';
import type { CadenzaClient } from '../client/client.ts';
import type { ScheduleOptions } from '../client/schedule.ts';
import type { Duration } from '../protocol/duration.ts';
import { describeTime } from './describe-time.ts';
import { describeThrown } from '../protocol/failures.ts';
import type { On } from './on-client.ts';
import { inputOf } from './run-commands.ts';
import { brief, exitCodes, plain, printJson, printLine, printTable, UsageError, warn } from './terminal.ts';

const overlaps = [
  'skip',
  'buffer-one',
  'buffer-all',
  'cancel-other',
  'terminate-other',
  'allow-all',
] as const;

interface CreateOptions {
  cron?: string[];
  every?: string;
  timeZone?: string;
  jitter?: string;
  overlap?: (typeof overlaps)[number];
  catchUp?: string;
  pauseOnFailure?: boolean;
  paused?: boolean;
  note?: string;
  inputFile?: string;
}

/** The commands about runs that begin at times of their own. */
export function addSchedules(program: Command, on: On): void {
  const schedule = program
    .command('schedule')
    .description('runs that begin at set times: create, list, show, pause, …');
  schedule
    .command('create')
    .description('start runs of an agent at set times')
    .argument('<id>', "the schedule's id, with which its runs' ids begin")
    .argument('<agent>', 'its name')
    .argument('[input]', 'text, or a JSON object; default: standard input')
    .option('--input-file <file>', 'read the input from a file')
    .option(
      '--cron <expression>',
      "five fields, such as '0 9 * * 1-5'; may be given several times",
      (value: string, all: string[] | undefined) => [...(all ?? []), value],
    )
    .option('--every <duration>', 'such as 30m or "2 hours"')
    .option('--time-zone <name>', 'of --cron, such as Europe/Berlin (default: UTC)')
    .option('--jitter <duration>', 'begin up to so much later, at random')
    .addOption(
      new Option('--overlap <policy>', 'when the last run is still open (default: skip)').choices(overlaps),
    )
    .option(
      '--catch-up <duration>',
      'make up for times that passed while the server was away, up to so long ago',
    )
    .option('--pause-on-failure', 'pause it when a run fails')
    .option('--paused', 'begin paused')
    .option('--note <text>', 'what people see beside it')
    .action(
      on(
        async (client, id: string, agent: string, input: string | undefined, options: CreateOptions) =>
          await create(client, id, agent, input, options),
      ),
    );
  addChanges(schedule, on);
}

function addChanges(schedule: Command, on: On): void {
  schedule
    .command('list')
    .description('the schedules of agents')
    .option('--json', 'one JSON object a line')
    .action(on(async (client, options: { json?: boolean }) => await list(client, options)));
  schedule
    .command('show')
    .description('its times, its last runs and its next ones')
    .argument('<id>')
    .option('--json', 'print one JSON object')
    .action(on(async (client, id: string, options: { json?: boolean }) => await show(client, id, options)));
  const change = (
    name: string,
    description: string,
    changed: string,
    work: (client: CadenzaClient, id: string, note?: string) => Promise<void>,
  ) =>
    schedule
      .command(name)
      .description(description)
      .argument('<id>')
      .option('--note <text>', 'why')
      .action(
        on(async (client, id: string, { note }: { note?: string }) => {
          await known(id, work(client, id, note));
          printLine(plain(`the schedule ${id} ${changed}`));
          return exitCodes.ok;
        }),
      );
  change('pause', 'start no more runs until it is resumed', 'is paused', async (client, id, note) =>
    client.temporal.schedule.getHandle(id).pause(note),
  );
  change('resume', 'go on starting runs', 'goes on', async (client, id, note) =>
    client.temporal.schedule.getHandle(id).unpause(note),
  );
  change('trigger', 'start a run now', 'starts a run now', async (client, id) =>
    client.temporal.schedule.getHandle(id).trigger(),
  );
  change('delete', 'start no more runs; those under way go on', 'is deleted', async (client, id) =>
    client.temporal.schedule.getHandle(id).delete(),
  );
}

async function create(
  client: CadenzaClient,
  id: string,
  agent: string,
  typed: string | undefined,
  { cron, every, timeZone, jitter, overlap, catchUp, inputFile, ...rest }: CreateOptions,
): Promise<number> {
  if (cron === undefined && every === undefined)
    throw new UsageError('say when: --cron "0 9 * * 1-5", or --every 1h');
  for (const [option, value] of Object.entries({
    '--every': every,
    '--jitter': jitter,
    '--catch-up': catchUp,
  }))
    if (value !== undefined) checkDuration(option, value);
  const input = await inputOf(typed, inputFile);
  const options: ScheduleOptions = {
    ...rest,
    id,
    ...(cron && { cron }),
    ...(every !== undefined && { every: every as Duration }),
    ...(timeZone !== undefined && { timeZone }),
    ...(jitter !== undefined && { jitter: jitter as Duration }),
    ...(catchUp !== undefined && { catchupWindow: catchUp as Duration }),
    ...(overlap && {
      overlap: overlap.toUpperCase().replace('-', '_') as NonNullable<ScheduleOptions['overlap']>,
    }),
  };
  try {
    await client.schedule(agent, input, options);
  } catch (thrown) {
    if (thrown instanceof ScheduleAlreadyRunning)
      throw new UsageError(`there is a schedule "${plain(id)}"; delete it first, or take another id`);
    // The server's words about times that are none.
    const { code, message = '' } = (thrown as { cause?: { code?: number; message?: string } }).cause ?? {};
    if (
      code === 3 ||
      (thrown as { code?: number }).code === 3 ||
      /cron/i.test(`${describeThrown(thrown)} ${message}`)
    )
      throw new UsageError(
        `the server does not take ${cron === undefined ? '--every' : `--cron "${plain([cron].flat().join(', '))}"`}${timeZone === undefined ? '' : ` with --time-zone ${plain(timeZone)}`}: ${brief((thrown as Error).message, 300)}`,
      );
    throw thrown;
  }
  printLine(plain(`the schedule ${id} is there; "cadenza schedule show ${id}" says when it runs`));
  return exitCodes.ok;
}

function checkDuration(option: string, value: string): void {
  try {
    msToNumber(value as Duration);
  } catch {
    throw new UsageError(`${option} takes a time such as 30s, 15m, 1h or 2d, not "${plain(value)}"`);
  }
}

async function list(client: CadenzaClient, { json }: { json?: boolean }): Promise<number> {
  const rows: string[][] = [];
  for await (const { scheduleId, memo, state, info } of client.temporal.schedule.list()) {
    const agent = memo?.['agent'];
    if (typeof agent !== 'string') continue;
    const [next] = info.nextActionTimes;
    if (json)
      printJson({ id: scheduleId, agent, paused: state.paused, ...(next && { next: next.toISOString() }) });
    else
      rows.push(
        [agent, state.paused ? 'paused' : 'active', next ? describeTime(next) : '-', scheduleId].map(plain),
      );
  }
  if (!json && rows.length > 0) printTable(['AGENT', 'STATE', 'NEXT', 'ID'], rows);
  if (!json && rows.length === 0) warn('no schedules');
  return exitCodes.ok;
}

async function show(client: CadenzaClient, id: string, { json }: { json?: boolean }): Promise<number> {
  const description = await known(id, client.temporal.schedule.getHandle(id).describe());
  const facts = factsOf(description);
  if (json) printJson(facts);
  else {
    for (const [name, value] of Object.entries(facts)) {
      const words = [value].flat().map((each) => (each instanceof Date ? describeTime(each) : String(each)));
      const text = words.join(', ');
      if (text !== '') printLine(`${name.padEnd(9)} ${plain(text)}`);
    }
  }
  return exitCodes.ok;
}

function factsOf({ scheduleId, memo, spec, policies, state, info, action }: ScheduleDescription) {
  const workflowId = ({ action: started }: { action: { workflow: { workflowId: string } } }) =>
    started.workflow.workflowId;
  const agent = memo?.['agent'];
  return {
    id: scheduleId,
    agent: typeof agent === 'string' ? agent : '',
    state: state.paused ? 'paused' : 'active',
    note: state.note ?? '',
    times: [
      ...(spec.calendars ?? []).map(({ comment, ...calendar }) => comment ?? JSON.stringify(calendar)),
      ...(spec.intervals ?? []).map(({ every }) => `every ${every / 1000} s`),
    ],
    zone: spec.timezone ?? 'UTC',
    overlap: (policies.overlap ?? 'SKIP').toLowerCase().replace('_', '-'),
    queue: action.taskQueue,
    runs: info.recentActions.map(workflowId),
    next: info.nextActionTimes.slice(0, 5),
  };
}

async function known<T>(id: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    if (thrown instanceof ScheduleNotFoundError) throw new UsageError(`there is no schedule "${plain(id)}"`);
    throw thrown;
  }
}
