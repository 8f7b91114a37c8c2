import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { CadenzaClient } from '../client/client.ts';
import { ruleProblem, type PolicyRule, type RunRule } from '../protocol/policy.ts';
import type { ApprovalDecision, Json } from '../protocol/protocol.ts';
import { approvals } from './look-commands.ts';
import type { On } from './on-client.ts';
import { addSteering } from './steer-commands.ts';
import { exitCodes, parseJson, plain, printJson, printLine, UsageError, warn } from './terminal.ts';

interface DecisionOptions {
  reason?: string;
  remember?: string;
  by: string;
  json?: boolean;
}

/** The commands by which people decide, steer and stop. */
export function addPeople(program: Command, on: On): void {
  program
    .command('approvals')
    .description('calls that wait for a person, with their ids')
    .argument('[id]', 'in this run and below it; default: in all open runs')
    .option('--json', 'one JSON object a line')
    .action(
      on(
        async (client, id: string | undefined, options: { json?: boolean }) =>
          await approvals(client, id, options),
      ),
    );
  const decision = (name: string, verdict: ApprovalDecision['verdict'], description: string) =>
    program
      .command(name)
      .description(description)
      .argument('<call>', "the call's id, as approvals prints it")
      .option('--reason <text>', 'recorded, and told to the model with a rejection')
      .option('--by <name>', 'who decides', whoami())
      .option('--json', 'print one JSON object')
      .action(
        on(
          async (client, call: string, options: DecisionOptions) =>
            await decide(client, call, { verdict, ...remembered(options.remember) }, options),
        ),
      );
  decision('approve', 'approve', 'let a call run').option(
    '--remember <what>',
    'do not ask again in the whole run: for the "tool", or for the same "arguments"',
  );
  decision('reject', 'reject', 'keep a call from running, or say that an uncertain one did not happen');
  decision('again', 'again', 'have an uncertain call done again');
  decision('stop', 'stop', 'end the run of an uncertain call');
  const written = (
    name: string,
    field: 'input' | 'output',
    verdict: ApprovalDecision['verdict'],
    description: string,
  ) =>
    program
      .command(name)
      .description(description)
      .argument('<call>', "the call's id, as approvals prints it")
      .argument('<json>', field === 'input' ? 'the new arguments' : 'the result; plain text is taken as text')
      .option('--reason <text>')
      .option('--by <name>', 'who decides', whoami())
      .option('--json', 'print one JSON object')
      .action(
        on(async (client, call: string, text: string, options: DecisionOptions) => {
          const value = field === 'input' ? parseJson(text, 'the new arguments') : jsonOrText(text);
          return await decide(client, call, { verdict, [field]: value }, options);
        }),
      );
  written('edit', 'input', 'edit', 'let a call run with other arguments');
  written(
    'answer',
    'output',
    'result',
    'supply the result of a call: of a question, of a deferred tool, or instead of running it',
  );
  addPolicy(program, on);
  addSteering(program, on, whoami());
}

function remembered(what: string | undefined): Pick<ApprovalDecision, 'remember'> {
  if (what === undefined) return {};
  if (what !== 'tool' && what !== 'arguments') throw new UsageError('--remember takes "tool" or "arguments"');
  return { remember: what };
}

interface PolicyOptions {
  add?: string[];
  remove?: string[];
  by: string;
  json?: boolean;
}

function addPolicy(program: Command, on: On): void {
  const more = (value: string, before: string[] = []) => [...before, value];
  program
    .command('policy')
    .description('the rules about tool calls that count in a run, after what is changed')
    .argument('<id>')
    .option('--add <rule>', 'a rule as JSON, such as \'{"tool":"refund","verdict":"deny"}\'', more)
    .option('--remove <rule-id>', 'a rule that is no longer to count', more)
    .option('--by <name>', 'who changes it', whoami())
    .option('--json', 'one JSON object a line')
    .action(
      on(async (client, id: string, options: PolicyOptions) => {
        const add = (options.add ?? []).map(ruleOf);
        const { remove = [], by } = options;
        const run = client.get(id);
        const change = add.length + remove.length > 0;
        const rules = change ? await run.changePolicy({ add, remove, by }) : await run.policy();
        if (rules.length === 0) warn('no rules count in the run, but for those of its workers');
        for (const rule of rules) {
          if (options.json) printJson(rule);
          else printLine(plain(describeRule(rule)));
        }
        return exitCodes.ok;
      }),
    );
}

const exampleRule = `'{"tool":"refund","verdict":"ask"}'`;

/** A rule as it was typed; one that is none is said to be so before anything is sent. */
function ruleOf(typed: string): RunRule {
  const rule = parseJson(typed, 'the rule of --add', exampleRule) as unknown as RunRule;
  const problem = ruleProblem({ id: 'of --add', ...rule } as PolicyRule);
  if (problem !== undefined)
    throw new UsageError(
      `${problem.replace('"of --add"', 'of --add').replaceAll('`', '')}; a rule looks like ${exampleRule}`,
    );
  return rule;
}

function describeRule({ id, verdict, reason, ...rest }: PolicyRule): string {
  const { by, ...conditions } = rest;
  const what = Object.entries(conditions).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const who = by === undefined ? '' : `  (${by})`;
  return `${id}  ${verdict}  ${what.join(' ')}${reason === undefined ? '' : `  "${reason}"`}${who}`;
}

/** What a decision has brought about. */
const outcomes: Readonly<Record<ApprovalDecision['verdict'], string>> = {
  approve: 'is approved, and runs',
  reject: 'is rejected: it does not run, and the model is told',
  edit: 'is approved with these arguments, and runs',
  result: 'has its result, which the model is told',
  again: 'is done again',
  stop: 'is given up: its run ends',
};

function remembering(remember: ApprovalDecision['remember']): string {
  if (remember === undefined) return '';
  return `; calls of the tool${remember === 'tool' ? '' : ' with these arguments'} are not asked about again in this run`;
}

async function decide(
  client: CadenzaClient,
  call: string,
  decision: Pick<ApprovalDecision, 'verdict' | 'input' | 'output' | 'remember'>,
  { reason, by, json }: DecisionOptions,
): Promise<number> {
  const mark = call.lastIndexOf('#');
  if (mark === -1) throw new UsageError(`"${call}" is no call's id; "cadenza approvals" prints them`);
  await client
    .get(call.slice(0, mark))
    .decide(call, { ...decision, by, ...(reason !== undefined && { reason }) });
  if (json) printJson({ call, ...decision });
  else printLine(plain(`${call} ${outcomes[decision.verdict]}${remembering(decision.remember)}`));
  return exitCodes.ok;
}

function whoami(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

function jsonOrText(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
