import type { AnyTool } from '../../agents/define-tool.ts';
import type { RegisteredAgent, RegisteredTool } from '../../agents/registry.ts';
import { digestJson, digestText } from '../../protocol/digest.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import { meets, ruleFor, ruleProblem, type CallFacts, type PolicyRule } from '../../protocol/policy.ts';
import type { ApprovalPlan, Json } from '../../protocol/protocol.ts';

/** A rule of a worker, for all agents that it runs. */
export interface WorkerRule extends Omit<PolicyRule, 'by'> {
  /** A condition in code, called on the worker, besides those that the rule names. */
  when?: (call: PolicyCall) => boolean | Promise<boolean>;
  /** Meets only the calls of tools that say neither `effect` nor `needsApproval`, so that nobody has thought about what a call does. */
  undeclared?: true;
  /** No rule of a run goes before it. A worker's `deny` never lets one. Default `false`. */
  final?: boolean;
}

/** What a condition in code knows of a call. */
export interface PolicyCall {
  agent: string;
  tool: string;
  /** The arguments, as the tool takes them. */
  input: unknown;
  workflowId: string;
}

/** The rules that a call is judged by, but for the tool's own. */
export interface Policy {
  worker: readonly WorkerRule[];
  run: readonly PolicyRule[];
}

/** The last rule of every worker that has no other of this id: what nobody has thought about, a person is asked about. */
export const undeclaredRule: WorkerRule = { id: 'undeclared', undeclared: true, verdict: 'ask' };

/** A worker's rules, and behind them the {@link undeclaredRule} unless one of its id is among them. */
export function withUndeclared(rules: readonly WorkerRule[] = []): readonly WorkerRule[] {
  return rules.some(({ id }) => id === undeclaredRule.id) ? rules : [...rules, undeclaredRule];
}

/** No rule besides the tools' own. */
export const noPolicy: Policy = { worker: [], run: [] };

/** Arguments of a call: as the model gave them, and as the tool takes them. */
interface JudgedCall {
  value: Json;
  input: unknown;
  workflowId: string;
}

/** Throws a `TypeError` that lists what is wrong with a worker's rules. */
export function checkWorkerPolicy(rules: readonly WorkerRule[]): void {
  const problems = rules.flatMap(
    (rule) => ruleProblem(rule as PolicyRule, ['when', 'final', 'undeclared']) ?? [],
  );
  if (problems.length > 0)
    throw new TypeError(`The policy cannot be used:\n${problems.map((one) => `  - ${one}`).join('\n')}`);
}

/**
 * What the rules say of a call: nothing, where it runs; what a person must decide first; or that it is not allowed, in words for the model.
 * A tool is asked last, the worker's rules go before it, and the run's before those. A deferred tool's call always waits.
 *
 * The plan's digest names agent, tool, arguments and definition: a decision holds for this very call as the person saw it and for no other.
 */
export async function judgeCall(
  agent: RegisteredAgent,
  tool: RegisteredTool | string,
  policy: Policy,
  call: JudgedCall,
): Promise<ApprovalPlan | { denied: string } | undefined> {
  const name = typeof tool === 'string' ? tool : tool.tool.name;
  const facts: CallFacts = {
    agent: agent.agent.name,
    tool: name,
    input: call.input ?? null,
    ...(typeof tool !== 'string' && {
      effect: tool.tool.effect ?? 'once',
      ...(policy.run.some(({ digest }) => digest !== undefined) && {
        digest: callDigest(agent, tool, call.value),
      }),
    }),
  };
  const undeclared = typeof tool !== 'string' && isUndeclared(tool.tool);
  const rules = { ...policy, worker: policy.worker.filter((one) => !one.undeclared || undeclared) };
  const rule = await deciding(rules, facts, call.workflowId);
  if (rule?.verdict === 'deny') {
    const why = rule.reason === undefined ? '' : `: ${rule.reason}`;
    return { denied: `Not executed: a policy does not allow this call of "${name}"${why}` };
  }
  // Whether an agent is asked for help is for its tools to say.
  if (typeof tool === 'string') return undefined;
  const { needsApproval, output } = tool.tool;
  const deferred = tool.tool.execute === undefined;
  if (!deferred && rule?.verdict === 'allow') return undefined;
  if (!deferred && rule?.verdict !== 'ask' && needsApproval !== true) {
    if (!needsApproval || !(await asks(needsApproval, agent.agent.name, name, call))) return undefined;
  }
  return {
    digest: callDigest(agent, tool, call.value),
    ...tool.approval,
    ...(deferred && { deferred }),
    ...(output && { checksOutput: true as const }),
  };
}

/** A deferred tool's call waits for somebody anyway. */
function isUndeclared(tool: AnyTool): boolean {
  return tool.effect === undefined && tool.needsApproval === undefined && tool.execute !== undefined;
}

/** Names a call as a person sees it. */
export function callDigest(
  { agent }: RegisteredAgent,
  { tool, schema }: RegisteredTool,
  value: Json,
): string {
  const definition = digestJson({ ...schema, effect: tool.effect ?? 'once' });
  return digestText(agent.name, tool.name, digestJson(value), definition);
}

/** The one rule that counts: a worker's that is final, then the run's first, then the worker's first. */
async function deciding(
  { worker, run }: Policy,
  facts: CallFacts,
  workflowId: string,
): Promise<Omit<PolicyRule, 'id'> | undefined> {
  let first: WorkerRule | undefined;
  for (const rule of worker) {
    const isFinal = rule.final === true || rule.verdict === 'deny';
    if ((first && !isFinal) || !meets(rule, facts) || !(await holds(rule, facts, workflowId))) continue;
    if (isFinal) return rule;
    first = rule;
  }
  return ruleFor(run, facts) ?? first;
}

async function holds({ when, id }: WorkerRule, facts: CallFacts, workflowId: string): Promise<boolean> {
  const { agent, tool, input } = facts;
  if (!when) return true;
  return await ownCode(`the policy rule "${id}"`, () => when({ agent, tool, input, workflowId }));
}

async function asks(
  needsApproval: Exclude<AnyTool['needsApproval'], boolean | undefined>,
  agent: string,
  tool: string,
  { input, workflowId }: JudgedCall,
): Promise<boolean> {
  return await ownCode(`needsApproval of the tool "${tool}"`, () =>
    needsApproval(input as never, { agent, workflowId }),
  );
}

async function ownCode(what: string, code: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await code();
  } catch (thrown) {
    throw failure('AgentCodeFailed', `${what} threw: ${describeThrown(thrown)}`, { cause: toError(thrown) });
  }
}
