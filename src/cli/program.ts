import { readFileSync } from 'node:fs';
import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { Command, CommanderError } from 'commander';
import type { CadenzaClient } from '../client/client.ts';
import { describeThrown } from '../protocol/failures.ts';
import { isNotFound } from '../transcript/history-events.ts';
import { checkRun } from './check-run.ts';
import { addCodec } from './codec-commands.ts';
import { withArchive, withClient, type GlobalOptions } from './connection.ts';
import { dev } from './dev.ts';
import { evaluate, record } from './eval-commands.ts';
import { archiveRuns, erase } from './data-commands.ts';
import { list, show, type ListCommandOptions, type ShowOptions } from './look-commands.ts';
import type { On } from './on-client.ts';
import { addPeople } from './people-commands.ts';
import { chat } from './chat-command.ts';
import { runAgent, type RunOptions } from './run-commands.ts';
import { addSchedules } from './schedule-commands.ts';
import { addSetup } from './setup-command.ts';
import { exitCodes, plain, printLine, UsageError, warn, wholeNumber } from './terminal.ts';
import { watch } from './watch-command.ts';

const help = `
Examples:
  cadenza dev src/agents.ts                       a server, a worker that reloads, links
  cadenza run researcher "What is durable?"       start a run and wait for its answer
  echo '{"order": 17}' | cadenza run support --json
  cadenza approvals                               what waits for a person, in all runs
  cadenza approve 'support-7#turn-2.0' --reason "within policy"
  cadenza show support-7 --html run.html          a page about a run

Connection: --address, --namespace, --profile, or TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, … as Temporal's own CLI.
Exit codes: 0 done; 1 the run failed, or a decision was refused; 2 wrong usage, unknown run or no server; 130 interrupted.`;

/** Runs the command with these arguments; returns the exit code. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let code: number = exitCodes.ok;
  const program = new Command('cadenza')
    .description('Runs AI agents as durable Temporal workflows, and looks at them.')
    .version(version(), '-V, --version', 'print the version')
    .option('--address <host:port>', "Temporal's address")
    .option('--namespace <name>', "Temporal's namespace")
    .option('--profile <name>', 'profile of the Temporal configuration file')
    .option('--task-queue <name>', 'where the workers listen (default: cadenza)')
    .option('--storage <location>', 'where large payloads are: a folder, or s3://bucket/prefix')
    .option('--archive <location>', 'where closed runs are kept: a folder, or s3://bucket/prefix')
    .addHelpText('after', help)
    .showHelpAfterError('(see --help)')
    .exitOverride();
  const on = <Rest extends unknown[]>(work: (client: CadenzaClient, ...rest: Rest) => Promise<number>) => {
    return async (...rest: [...Rest, Command]) => {
      rest.pop();
      code = await withClient(
        program.opts<GlobalOptions>(),
        async (client) => await work(client, ...(rest as unknown as Rest)),
      );
    };
  };
  program
    .command('dev')
    .description(
      'a Temporal server, a worker that reloads when a file changes, and without OPENAI_API_KEY a stand-in for a model',
    )
    .argument(
      '[agents]',
      'module that exports the agents (default: the first of src/agents.ts, src/agents/index.ts, agents.ts, …)',
    )
    .option('--workflows <file>', 'module that exports workflows')
    .action(async (agents: string | undefined, options: { workflows?: string }) => {
      code = await dev(agents, { ...options, ...program.opts<GlobalOptions>() });
    });
  addRuns(program, on, async (id, options) => {
    const file = id.endsWith('.json.gz') ? id : undefined;
    const online = on(async (client) => {
      await checkRun(client, id);
      return await show(client, id, options);
    });
    if (file === undefined && !options.offline) return await online(program);
    code = await withArchive(program.opts<GlobalOptions>(), file, async (client, run) =>
      run === undefined
        ? await show(client, id, options)
        : await show(client, run.workflowId, { runId: run.runId, ...options }),
    );
  });
  addPeople(program, on);
  addCodec(program, (ended) => (code = ended));
  addSchedules(program, on);
  addEval(program, (ended) => (code = ended));
  addSetup(program, on);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (thrown) {
    return codeFor(thrown, optionsOf(program));
  }
}

function version(): string {
  const { version: own } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return own;
}

/** The options of all commands, by the names under which the library knows them. */
function optionsOf(command: Command): Map<string, string> {
  const own = command.options.map((option) => [option.attributeName(), option.long ?? option.flags] as const);
  return new Map([...own, ...command.commands.flatMap((below) => [...optionsOf(below)])]);
}

function addEval(program: Command, end: (code: number) => void): void {
  program
    .command('eval')
    .description(
      'ask the agents of a module in every turn of recorded runs, and say where they decide otherwise',
    )
    .argument('<cassettes>', 'a file that record made, or a folder of them')
    .requiredOption('--agents <file>', 'module that exports the agents')
    .option('--json', 'one JSON object a line')
    .action(async (path: string, options: { agents: string; json?: boolean }) => {
      end(await evaluate(path, options));
    });
}

function addRuns(program: Command, on: On, shown: (id: string, options: ShowOptions) => Promise<void>): void {
  program
    .command('run')
    .description('start an agent and wait for its answer')
    .argument('<agent>', 'its name')
    .argument('[input]', 'text, or a JSON object; default: standard input')
    .option('--input-file <file>', 'read the input from a file')
    .option('--id <id>', "the run's id, which makes starting it again harmless")
    .option('--detach', 'print the id and do not wait')
    .option('--json', 'print one JSON object')
    .action(
      on(async (client, agent: string, input: string | undefined, options: RunOptions) =>
        runAgent(client, agent, input, options),
      ),
    );
  program
    .command('chat')
    .description('talk with an agent, line by line')
    .argument('<agent>', 'its name')
    .option('--id <id>', 'go on with a conversation')
    .action(
      on(async (client, agent: string, options: { id?: string }) => await chat(client, agent, options)),
    );
  program
    .command('list')
    .description('runs, the newest first')
    .option('--agent <name>', 'of this agent')
    .option('--status <status>', 'running, waiting, paused, idle, taken-over, … (needs "cadenza setup")')
    .option('--state <state>', 'running, completed, failed, canceled, terminated')
    .option('--limit <n>', 'at most so many', '20')
    .option('--children', 'also runs below others')
    .option('--usage', 'also turns, tokens and cost, with those of the runs below')
    .option('--json', 'one JSON object a line')
    .action(on(async (client, options: ListCommandOptions) => await list(client, options)));
  program
    .command('show')
    .description('everything that happened in a run and in those below it')
    .argument('<id>', "the run's id, or the file of an archive")
    .option('--run-id <id>', 'another run under the id than the newest')
    .option('--offline', 'from the archive alone, without a server')
    .option('--json', 'print one JSON object')
    .option('--html [file]', 'write a page')
    .action(shown);
  program
    .command('watch')
    .description('what happens in a run, until it ends')
    .argument('<id>')
    .option('--json', 'one JSON object a line')
    .action(on(async (client, id: string, options: { json?: boolean }) => await watch(client, id, options)));
  program
    .command('record')
    .description('write a run to a file that eval takes')
    .argument('<id>')
    .argument('<file>')
    .action(on(async (client, id: string, file: string) => await record(client, id, file)));
  addForks(program, on);
  addData(program, on);
}

function addData(program: Command, on: On): void {
  program
    .command('archive')
    .description('archive a closed run that the workers did not archive')
    .argument('<id>')
    .option('--json', 'one JSON object a line')
    .action(
      on(async (client, id: string, options: { json?: boolean }) => await archiveRuns(client, id, options)),
    );
  program
    .command('erase')
    .description('delete a tree of runs, their archives and their externally stored payloads')
    .argument('<id>', "the root's id")
    .option('--dry-run', 'say what would be deleted')
    .option('--open', 'also runs that have not ended')
    .option('--json', 'print one JSON object')
    .action(
      on(
        async (client, id: string, options: { json?: boolean; dryRun?: boolean; open?: boolean }) =>
          await erase(client, id, options),
      ),
    );
}

function addForks(program: Command, on: On): void {
  program
    .command('fork')
    .description('start a new run from a turn of another')
    .argument('<id>')
    .option('--turn <n>', 'the turn that is asked anew', wholeNumber)
    .option('--agent <name>', 'who goes on')
    .option('--model <name>', 'with which model')
    .option('--message <text>', 'said at the end of the conversation')
    .option('--id <id>', "the new run's id")
    .action(
      on(
        async (
          client,
          id: string,
          options: { turn?: number; agent?: string; model?: string; message?: string; id?: string },
        ) => {
          const fork = await client.fork(id, options);
          printLine(fork.workflowId);
          return exitCodes.ok;
        },
      ),
    );
  program
    .command('rewind')
    .description('take a run back to before a turn, in place')
    .argument('<id>')
    .requiredOption('--turn <n>', 'the turn that is asked anew', wholeNumber)
    .option('--reason <text>')
    .option('--effects-repeat', 'also where an effect may then happen twice')
    .action(
      on(async (client, id: string, options: { turn: number; reason?: string; effectsRepeat?: boolean }) => {
        await client.get(id).rewind(options);
        printLine(plain(`${id} is back before turn ${options.turn}, which is asked anew`));
        return exitCodes.ok;
      }),
    );
}

/** Says what went wrong, in one line where it was to be expected. */
function codeFor(thrown: unknown, options: ReadonlyMap<string, string>): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (thrown instanceof WorkflowNotFoundError || isNotFound(thrown)) {
    const { workflowId = '' } = thrown as { workflowId?: string };
    const named = workflowId === '' ? 'of that id' : `"${plain(workflowId)}"`;
    warn(
      `cadenza: there is no run ${named} in this namespace; "cadenza list --children" prints those there are`,
    );
    return exitCodes.usage;
  }
  const cause = thrown instanceof WorkflowUpdateFailedError ? thrown.cause : thrown;
  // The library speaks of `effectsRepeat` where people type --effects-repeat.
  const message = plain(describeThrown(cause)).replaceAll(
    /`([a-zA-Z]+)`/g,
    (word, name: string) => options.get(name) ?? word,
  );
  warn(`cadenza: ${message}`);
  return thrown instanceof UsageError || thrown instanceof TypeError ? exitCodes.usage : exitCodes.failed;
}
