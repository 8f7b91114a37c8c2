/**
 * Rules about tool calls, above what the tools say themselves. Workflow code, workers and clients share them: JSON and pure functions.
 */
import type { Effect, Json } from './protocol.ts';

/** What a rule has to say of a call that it meets: it runs, a person is asked, or the model is told that it is not allowed. */
export type PolicyVerdict = 'allow' | 'ask' | 'deny';

/** What one argument of a call must be for a rule to meet the call: everything that is given. An absent argument is nothing of it. */
export interface ArgumentCondition {
  is?: Json;
  oneOf?: Json[];
  atMost?: number;
  atLeast?: number;
  startsWith?: string;
  endsWith?: string;
}

/** One rule of a policy. It meets the calls of which everything holds that it names; one that names nothing meets every call. */
export interface PolicyRule {
  /** Names the rule, so that it can be replaced or removed. */
  id: string;
  /** The agent's name, or several. A `*` at the end stands for any rest. */
  agent?: string | string[];
  /** The tool's name, or several, as for `agent`. */
  tool?: string | string[];
  effect?: Effect | Effect[];
  /** Conditions on arguments, by name; a dotted name (`order.total`) is that of one within another. */
  where?: { [argument: string]: ArgumentCondition };
  /** This very call alone: the digest of agent, tool, arguments and definition that a person was shown. */
  digest?: string;
  verdict: PolicyVerdict;
  /** Why; the model is told of a denial. */
  reason?: string;
  /** Who made the rule. */
  by?: string;
}

/** A rule as people write it: an id is made where there is none. */
export type RunRule = Omit<PolicyRule, 'id'> & { id?: string };

/** A change to the rules of a run under way. */
export interface PolicyChange {
  /** Go before those that are there, the first of them first; one with a known id takes the other's place. */
  add?: PolicyRule[];
  /** Ids of rules that no longer count. */
  remove?: string[];
  /** Who changed it. */
  by?: string;
}

/** How far "stop asking" goes: for the tool, whatever its arguments; for this very call; or for calls whose arguments fit. */
export type Remember = 'tool' | 'arguments' | { where: NonNullable<PolicyRule['where']> };

/** What a rule looks at. */
export interface CallFacts {
  agent: string;
  tool: string;
  /** Absent for a handoff or a delegation. */
  effect?: Effect;
  /** Absent where the arguments are not known; conditions on them are then left aside. */
  input?: unknown;
  digest?: string;
}

/** Rules that one run may have, and their size as JSON: every turn carries them. */
const mostRules = 100;
const mostLength = 16 * 1024;
const verdicts: readonly string[] = ['allow', 'ask', 'deny'];
const effects: readonly string[] = ['read', 'idempotent', 'once'];

type Check = (value: unknown, expected: never) => boolean;

const checks: { readonly [condition: string]: { takes: (expected: unknown) => boolean; holds: Check } } = {
  is: { takes: () => true, holds: (value, expected: Json) => sameJson(value, expected) },
  oneOf: {
    takes: Array.isArray,
    holds: (value, expected: Json[]) => expected.some((one) => sameJson(value, one)),
  },
  atMost: { takes: isNumber, holds: (value, most: number) => isNumber(value) && (value as number) <= most },
  atLeast: {
    takes: isNumber,
    holds: (value, least: number) => isNumber(value) && (value as number) >= least,
  },
  startsWith: {
    takes: isText,
    holds: (value, head: string) => isText(value) && (value as string).startsWith(head),
  },
  endsWith: {
    takes: isText,
    holds: (value, tail: string) => isText(value) && (value as string).endsWith(tail),
  },
};

/** The first of the rules that meets the call. */
export function ruleFor<Rule extends Omit<PolicyRule, 'id'>>(
  rules: readonly Rule[],
  call: CallFacts,
): Rule | undefined {
  return rules.find((rule) => meets(rule, call));
}

/** Whether a rule meets the call, as far as can be told from what is known of it. */
export function meets(rule: Omit<PolicyRule, 'id'>, call: CallFacts): boolean {
  if (!named(rule.agent, call.agent) || !named(rule.tool, call.tool)) return false;
  if (rule.effect !== undefined && !listOf(rule.effect).some((effect) => effect === call.effect))
    return false;
  if (rule.digest !== undefined && rule.digest !== call.digest) return false;
  if (!rule.where || call.input === undefined) return true;
  // A condition that only a newer build knows must not let anything through.
  const unknown = rule.verdict !== 'allow';
  return Object.entries(rule.where).every(([argument, condition]) => {
    const value = argumentAt(call.input, argument);
    return Object.entries(condition).every(([name, expected]) => {
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
      return check ? check.holds(value, expected as never) : unknown;
    });
  });
}

/** What is wrong with the rules of a run; `undefined` where nothing is. */
export function rulesProblem(rules: unknown): string | undefined {
  if (!Array.isArray(rules)) return 'the rules must be a list';
  if (rules.length > mostRules) return `a run has at most ${mostRules} rules`;
  for (const rule of rules) {
    const problem = ruleProblem(rule as Partial<PolicyRule> | null);
    if (problem !== undefined) return problem;
  }
  if (JSON.stringify(rules).length > mostLength)
    return `the rules of a run take at most ${mostLength} characters as JSON`;
  return undefined;
}

/** What is wrong with how far a decision is to be remembered. */
export function rememberProblem(remember: unknown): string | undefined {
  if (remember === undefined || remember === 'tool' || remember === 'arguments') return undefined;
  const { where } = (remember ?? {}) as { where?: unknown };
  if (where === undefined) return '`remember` must be "tool", "arguments" or { where: … }';
  return ruleProblem({ id: 'remember', verdict: 'allow', where: where as NonNullable<PolicyRule['where']> });
}

/** What is wrong with a rule. A name that is misspelt would make a rule meet more than is meant, so it is an error. */
export function ruleProblem(
  rule: Partial<PolicyRule> | null | undefined,
  others: readonly string[] = [],
): string | undefined {
  if (typeof rule !== 'object' || rule === null) return 'a rule must be an object';
  const { id, agent, tool, effect, where, verdict = '' } = rule;
  const problem = (what: string) => `the rule "${typeof id === 'string' ? id : '?'}" ${what}`;
  if (typeof id !== 'string' || id === '' || id.length > 200)
    return 'a rule needs an id of 1 to 200 characters';
  if (!verdicts.includes(verdict)) return problem('needs a `verdict`: "allow", "ask" or "deny"');
  const known = ['id', 'agent', 'tool', 'effect', 'where', 'digest', 'verdict', 'reason', 'by', ...others];
  const unknown = Object.keys(rule).find((name) => !known.includes(name));
  if (unknown !== undefined)
    return problem(`has "${unknown}", which is nothing that a rule can have (${known.join(', ')})`);
  for (const [name, value] of Object.entries({ agent, tool })) {
    if (value !== undefined && !(listOf(value).length > 0 && listOf(value).every(isText)))
      return problem(`must have text or a list of texts as "${name}"`);
  }
  if (effect !== undefined && !listOf(effect).every((one) => effects.includes(one)))
    return problem(`must have one of ${effects.join(', ')} as "effect"`);
  for (const [name, value] of Object.entries({ digest: rule.digest, reason: rule.reason, by: rule.by })) {
    if (value !== undefined && !isText(value)) return problem(`must have text as "${name}"`);
  }
  return where === undefined ? undefined : whereProblem(where, problem);
}

function whereProblem(where: unknown, problem: (what: string) => string): string | undefined {
  if (typeof where !== 'object' || where === null || Array.isArray(where))
    return problem('must have an object as "where"');
  for (const [argument, condition] of Object.entries(where)) {
    const conditions = Object.entries((condition as object | null) ?? {});
    if (typeof condition !== 'object' || conditions.length === 0)
      return problem(`needs a condition for the argument "${argument}", such as { atMost: 100 }`);
    for (const [name, expected] of conditions) {
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
      if (!check?.takes(expected))
        return problem(
          `has "${name}" for the argument "${argument}": there are ${Object.keys(checks).join(', ')}, with values of their kind`,
        );
    }
  }
  return undefined;
}

function named(wanted: string | string[] | undefined, name: string): boolean {
  if (wanted === undefined) return true;
  return listOf(wanted).some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : one === name));
}

function argumentAt(input: unknown, path: string): unknown {
  let value = input;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as { [name: string]: unknown })[name];
  }
  return value;
}

function listOf<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

/** Whether two values are the same JSON, whatever the order of an object's keys. */
function sameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every(
      (key) => Object.hasOwn(other, key) && sameJson(one[key as keyof object], other[key as keyof object]),
    )
  );
}
