import { msToNumber } from '@temporalio/common/lib/time.js';
import { attachmentsProblem, type Attachment } from './attachments.ts';
import type { Duration } from './duration.ts';
import { failure } from './failures.ts';
import { rulesProblem, type PolicyRule, type RunRule } from './policy.ts';
import type { AgentStart, Json, Limits } from './protocol.ts';
import { nameProblem, type Concurrency } from './tenancy.ts';

/** What may be said of a run when it begins, as people write it. */
export interface RunOptions {
  /** Go before the agent's own. */
  limits?: RunLimits;
  /** Rules about tool calls, which go before the worker's and the tools' own; the first that meets a call counts. */
  policy?: readonly RunRule[];
  /** For whom the run works: the workers' budgets count by it, also for the runs below. 1 to 200 characters. */
  tenant?: string;
  /** How many runs of a key may be open at once. A run below another one has no key of its own. */
  concurrency?: Concurrency;
  /** Images and files that go with the input, by reference. */
  attachments?: readonly Attachment[];
}

/** Bounds on a run, as people write them. */
export interface RunLimits extends Omit<Limits, 'deadlineMs'> {
  /** Time from the run's start, such as `'10 minutes'`. Default: none. */
  deadline?: Duration;
}

/**
 * The argument of the `agent` workflow, from what a client or a workflow says.
 *
 * Throws `InvalidInput` for a malformed rule or attachment, and for a limit that is not a positive, finite number: JSON has no infinity, and a workflow
 * that read it as something else would end at once or never.
 */
export function agentStart(
  agent: string,
  input: Json,
  { limits, policy, tenant, concurrency, attachments = [] }: RunOptions,
): AgentStart {
  const refused = attachmentsProblem(attachments);
  const problem =
    (refused === undefined ? undefined : `the input was not accepted: ${refused}`) ??
    (tenant === undefined ? undefined : named('tenant', tenant)) ??
    (concurrency && (named('concurrency.key', concurrency.key) ?? limitProblem(concurrency)));
  if (problem !== undefined) throw failure('InvalidInput', problem);
  return {
    agent,
    input,
    ...(attachments.length > 0 && { attachments: [...attachments] }),
    ...(limits && { limits: limitsOf(limits) }),
    ...(tenant !== undefined && { tenant }),
    ...(concurrency && { concurrency }),
    ...(policy &&
      policy.length > 0 && { policy: { own: identified(policy), inherited: [], heard: 0, epoch: 0 } }),
  };
}

function named(option: string, name: unknown): string | undefined {
  const problem = nameProblem(name);
  return problem === undefined ? undefined : `${option} ${problem}`;
}

function limitProblem({ limit = 1 }: Concurrency): string | undefined {
  // Each holder is looked at when somebody waits.
  return Number.isInteger(limit) && limit >= 1 && limit <= 1_000
    ? undefined
    : 'concurrency.limit must be a whole number from 1 to 1000';
}

/** The rules under ids; throws `InvalidInput` for what is no rule. */
export function identified(rules: readonly RunRule[], prefix = 'rule'): PolicyRule[] {
  const all = rules.map((rule, index) => ({ ...rule, id: rule?.id ?? `${prefix}-${index + 1}` }));
  const problem = rulesProblem(all);
  if (problem !== undefined) throw failure('InvalidInput', problem);
  return all;
}

function limitsOf({ deadline, ...rest }: RunLimits): Limits {
  return checked({ ...rest, ...(deadline !== undefined && { deadlineMs: milliseconds(deadline) }) });
}

function milliseconds(deadline: Duration): number {
  try {
    return msToNumber(deadline);
  } catch {
    return Number.NaN;
  }
}

function checked(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits)) {
    if (value === undefined || (Number.isFinite(value) && value > 0)) continue;
    const option = name === 'deadlineMs' ? 'deadline' : name;
    throw failure(
      'InvalidInput',
      `limits.${option} must be positive and finite; leave it out for no limit of your own`,
    );
  }
  return limits;
}
