import { z } from 'zod';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { digestJson, digestText } from '../protocol/digest.ts';
import {
  defaultResultBytes,
  type ApprovalPlan,
  type DefinitionSnapshot,
  type Json,
  type Limits,
  type ToolRetry,
  type ToolSchema,
} from '../protocol/protocol.ts';
import { isAgent, settingsJson, type AnyAgent } from './define-agent.ts';
import type { AnyTool } from './define-tool.ts';
import { checkCompaction, checkGuardrails, checkMcpServers, isName } from './check-agent.ts';
import { jsonSchema } from './json-schema.ts';
import {
  delegateRoute,
  handoffRoute,
  taskRoutes,
  type Delegate,
  type Handoff,
  type Route,
  type TaskRoute,
} from './routes.ts';
import { isStrictSchema } from './strict-schema.ts';

/** Agents as they are handed to a worker: a list, or modules whose exports hold them. */
export type AgentSource = readonly unknown[] | Record<string, unknown>;

/** Every definition a worker knows, checked. */
export interface Registry {
  get(name: string): RegisteredAgent | undefined;
  readonly names: readonly string[];
}

/** An agent in the form in which turns use it. */
export interface RegisteredAgent {
  readonly agent: AnyAgent;
  readonly input: z.ZodType;
  /** Absent where the output is the model's text. */
  readonly output?: RegisteredOutput;
  readonly tools: ReadonlyMap<string, RegisteredTool>;
  /** Handoffs, delegations and what goes with them, by the names of the tools that stand for them. */
  readonly routes: ReadonlyMap<string, Route | TaskRoute>;
  readonly limits: Limits;
  readonly modelTimeoutMs: number;
  /** Digest of everything in the definition that the model or the run can notice. */
  readonly source: string;
  /** What is given to the model, but for its name and the rendered instructions. */
  readonly surface: Pick<DefinitionSnapshot, 'tools' | 'hosted' | 'output' | 'settings'>;
}

/** A structured output in the form in which replies are checked. */
export interface RegisteredOutput {
  name: string;
  schema: Json;
  strict: boolean;
  zod: z.ZodType;
  /** The providers take objects only: a list, an enum or a union is asked for as the one property of an object. */
  wrapped: boolean;
}

/** The property that holds an output which is no object. */
export const wrapper = 'value';

/** A tool in the form in which calls use it. */
export interface RegisteredTool {
  readonly tool: AnyTool;
  readonly schema: ToolSchema;
  readonly timeoutMs: number;
  readonly retry: ToolRetry;
  readonly maxBytes: number;
  /** How long a call waits for a person, and what then happens. */
  readonly approval: Pick<ApprovalPlan, 'timeoutMs' | 'onTimeout' | 'escalate'>;
}

const largestResultBytes = 1024 * 1024;
const longestTimerMs = 24 * 24 * 60 * 60 * 1000;

/**
 * Checks all definitions together and makes the registry.
 *
 * Throws one `TypeError` that lists everything that is wrong: duplicate names, handoffs to agents that do not exist,
 * schemas that JSON Schema cannot express, options out of range.
 */
export function createRegistry(...sources: AgentSource[]): Registry {
  const problems: string[] = [];
  const definitions = new Map<string, AnyAgent>();
  const seen = new Set<unknown>();
  for (const agent of sources.flatMap((source) => agentsOf(source, problems))) {
    if (seen.has(agent)) continue;
    seen.add(agent);
    if (definitions.has(agent.name)) problems.push(`two agents are named "${agent.name}"; rename one`);
    else definitions.set(agent.name, agent);
  }
  const agents = new Map(
    [...definitions].map(([name, agent]) => [name, register(agent, definitions, problems)] as const),
  );
  if (agents.size === 0) problems.push('there is no agent; pass the module that exports them, or a list');
  if (problems.length > 0) {
    throw new TypeError(
      `The agents cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    );
  }
  return { get: (name) => agents.get(name), names: [...agents.keys()] };
}

function agentsOf(source: AgentSource, problems: string[]): AnyAgent[] {
  return Object.values(source).flatMap((value, index) => {
    if (isAgent(value)) return [value];
    if (Array.isArray(source) && value === undefined) {
      problems.push(`agents[${index}] is undefined; two modules may import each other`);
    }
    // A list of modules: `[agents, moreAgents]`.
    const isModule = Array.isArray(source) && typeof value === 'object' && value !== null;
    return isModule ? Object.values(value).filter(isAgent) : [];
  });
}

function register(
  agent: AnyAgent,
  known: ReadonlyMap<string, AnyAgent>,
  problems: string[],
): RegisteredAgent {
  const where = `agent "${agent.name}"`;
  const note = (problem: string) => problems.push(`${where}: ${problem}`);
  if (!isName(agent.name)) note('its name must be 1 to 64 letters, digits, "_" or "-"');
  if (typeof agent.instructions !== 'string' && typeof agent.instructions !== 'function') {
    note('instructions must be text or a function');
  }
  const input: z.ZodType = agent.input ?? z.string();
  if (agent.input) jsonSchema(agent.input, 'input', note);
  const tools = new Map<string, RegisteredTool>();
  for (const [index, tool] of (agent.tools ?? []).entries()) {
    if ((tool as { kind?: unknown } | undefined)?.kind !== 'tool') {
      note(
        `tools[${index}] is not a tool made by defineTool (where it is undefined, two modules may import each other)`,
      );
    } else if (tools.has(tool.name)) note(`two tools are named "${tool.name}"`);
    else tools.set(tool.name, registerTool(tool, note));
  }
  const routes = routesOf(agent, known, tools, note);
  const output =
    agent.output && !isText(agent.output) ? registerOutput(agent.output, agent.name, note) : undefined;
  const settings = settingsJson(agent.settings);
  const surface = {
    tools: [...tools.values(), ...routes.values()].map(({ schema }) => schema),
    ...(agent.hostedTools && agent.hostedTools.length > 0 && { hosted: [...agent.hostedTools] }),
    ...(output && { output: { name: output.name, schema: output.schema, strict: output.strict } }),
    ...(Object.keys(settings).length > 0 && { settings }),
  };
  const limits = limitsOf(agent, note);
  checkCompaction(agent, note);
  checkGuardrails(agent, note);
  checkMcpServers(agent, note);
  return {
    agent,
    input,
    ...(output && { output }),
    tools,
    routes,
    limits,
    modelTimeoutMs: attemptTime(agent.modelTimeout ?? '10 minutes', 'modelTimeout', note),
    source: digestText(
      digestJson(surface as unknown as Json),
      typeof agent.model === 'string' ? agent.model : (agent.model ?? []).join(' '),
      instructionsText(agent),
      digestJson(limits as Json),
    ),
    surface,
  };
}

function routesOf(
  agent: AnyAgent,
  known: ReadonlyMap<string, AnyAgent>,
  tools: ReadonlyMap<string, RegisteredTool>,
  note: (problem: string) => void,
): ReadonlyMap<string, Route | TaskRoute> {
  const routes = new Map<string, Route | TaskRoute>();
  const place = (route: Route | TaskRoute) => {
    const { name } = route.schema;
    if (tools.has(name) || routes.has(name)) note(`two of its tools would be named "${name}"`);
    else routes.set(name, route);
  };
  const add = (what: string, target: Handoff | Delegate, route: () => Route) => {
    if (!known.has(target.agent) && target.taskQueue === undefined) {
      note(`${what} "${target.agent}", which is not registered; name its taskQueue if it runs elsewhere`);
      return;
    }
    place(route());
  };
  for (const entry of agent.handoffs ?? []) {
    const handoff: Handoff = typeof entry === 'string' ? { agent: entry } : entry;
    const target = known.get(handoff.agent);
    if (target?.input && !isText(target.input)) {
      note(`hands over to "${handoff.agent}", whose input is not text; make it a delegate`);
    }
    const toSchema = (schema: z.ZodType) => jsonSchema(schema, 'input', note);
    add('hands over to', handoff, () => handoffRoute(handoff, target?.description, toSchema));
  }
  for (const entry of agent.delegates ?? []) {
    const delegate: Delegate = typeof entry === 'string' ? { agent: entry } : entry;
    const target = known.get(delegate.agent);
    const input = target?.input ?? delegate.input ?? z.string();
    const toSchema = (schema: z.ZodType) =>
      jsonSchema(schema, `the input of delegate "${delegate.agent}"`, note);
    add('delegates to', delegate, () =>
      delegateRoute(delegate, { input, description: target?.description }, toSchema, isStrictSchema),
    );
  }
  const inBackground = [...routes.values()].some((route) => route.kind === 'delegate' && route.background);
  if (inBackground)
    for (const route of taskRoutes((schema) => jsonSchema(schema, 'input', note))) place(route);
  return routes;
}

/** A tool in the form in which calls use it; `agentNote` is told what is wrong with it. */
export function registerTool(tool: AnyTool, agentNote: (problem: string) => void): RegisteredTool {
  const note = (problem: string) => agentNote(`tool "${tool.name}": ${problem}`);
  if (!isName(tool.name)) note('its name must be 1 to 64 letters, digits, "_" or "-"');
  if (tool.execute !== undefined && typeof tool.execute !== 'function') {
    note('execute must be a function, or left out for a deferred tool');
  }
  const effects = ['read', 'idempotent', 'once'];
  if (tool.effect !== undefined && !effects.includes(tool.effect))
    note(`effect must be one of ${effects.join(', ')}`);
  const uncertain = ['fail', 'tell', 'ask'];
  if (tool.whenUncertain !== undefined && !uncertain.includes(tool.whenUncertain))
    note(`whenUncertain must be one of ${uncertain.join(', ')}`);
  const parameters = jsonSchema(tool.input, 'input', note);
  if ((parameters as { type?: Json }).type !== 'object') note('input must be an object schema (z.object)');
  const maxBytes = tool.maxResultBytes ?? defaultResultBytes;
  if (!(maxBytes >= 256 && maxBytes <= largestResultBytes)) {
    note(`maxResultBytes must be from 256 to ${largestResultBytes}`);
  }
  const { retry } = tool;
  if (tool.effect === 'once' || tool.effect === undefined) {
    if ((retry?.maximumAttempts ?? 1) > 1)
      note('a "once" tool cannot have more than one attempt; declare its effect');
  }
  return {
    tool,
    schema: {
      name: tool.name,
      description: tool.description,
      parameters,
      strict: isStrictSchema(parameters),
    },
    timeoutMs: attemptTime(tool.timeout ?? '5 minutes', 'timeout', note),
    retry: retryOf(tool, note),
    maxBytes,
    approval: approvalOf(tool, note),
  };
}

function approvalOf({ approval }: AnyTool, note: (problem: string) => void): RegisteredTool['approval'] {
  const { timeout, onTimeout, escalate } = approval ?? {};
  if (escalate && (timeout === undefined || typeof escalate.to !== 'string' || escalate.to === ''))
    note('approval.escalate needs a name in `to`, and an approval.timeout after which it happens');
  if (onTimeout !== undefined && !['reject', 'fail'].includes(onTimeout)) {
    note('approval.onTimeout must be "reject" or "fail"');
  }
  return {
    ...(timeout !== undefined && { timeoutMs: milliseconds(timeout, 'approval.timeout', note) }),
    ...(onTimeout !== undefined && { onTimeout }),
    ...(escalate && {
      escalate: {
        to: escalate.to,
        ...(escalate.timeout !== undefined && {
          timeoutMs: milliseconds(escalate.timeout, 'approval.escalate.timeout', note),
        }),
      },
    }),
  };
}

/** Temporal refuses a faulty policy only when a run uses it, and the run would then hang. */
function retryOf({ retry = {} }: AnyTool, note: (problem: string) => void): ToolRetry {
  const { maximumAttempts: attempts, backoffCoefficient: backoff } = retry;
  if (attempts !== undefined && !(Number.isInteger(attempts) && attempts > 0)) {
    note('retry.maximumAttempts must be a positive whole number');
  }
  if (backoff !== undefined && !(Number.isFinite(backoff) && backoff >= 1))
    note('retry.backoffCoefficient must be 1 or more');
  const interval = (name: 'initialInterval' | 'maximumInterval') =>
    retry[name] === undefined ? undefined : milliseconds(retry[name], `retry.${name}`, note);
  const initial = interval('initialInterval');
  const maximum = interval('maximumInterval');
  if (maximum !== undefined && maximum < (initial ?? 1_000)) {
    note('retry.maximumInterval must not be below retry.initialInterval (1 second where it is not set)');
  }
  return {
    ...(attempts !== undefined && { maximumAttempts: attempts }),
    ...(initial !== undefined && { initialIntervalMs: initial }),
    ...(maximum !== undefined && { maximumIntervalMs: maximum }),
    ...(backoff !== undefined && { backoffCoefficient: backoff }),
  };
}

function registerOutput(zod: z.ZodType, agent: string, note: (problem: string) => void): RegisteredOutput {
  const own = jsonSchema(zod, 'output', note);
  const wrapped = (own as { type?: Json }).type !== 'object';
  const schema = wrapped ? jsonSchema(z.object({ [wrapper]: zod }), 'output', note) : own;
  return { name: `${agent}_output`.slice(0, 64), schema, strict: isStrictSchema(schema), zod, wrapped };
}

function isText(schema: z.ZodType): boolean {
  return schema instanceof z.ZodString;
}

function limitsOf(agent: AnyAgent, note: (problem: string) => void): Limits {
  const { deadline, ...limits } = agent.limits ?? {};
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      note(`limits.${name} must be a positive, finite number; leave it out for no limit of your own`);
    }
  }
  return {
    ...limits,
    ...(deadline !== undefined && { deadlineMs: milliseconds(deadline, 'limits.deadline', note) }),
  };
}

function milliseconds(duration: string | number, what: string, note: (problem: string) => void): number {
  try {
    const value = msToNumber(duration as number);
    if (Number.isFinite(value) && value > 0) return Math.ceil(value);
  } catch {
    // Reported below, as for a number that is no duration.
  }
  note(`${what} must be a positive number of milliseconds or text such as "30 seconds"`);
  return 1;
}

/** The time of one attempt, which a timer of the process measures: a longer one would fire at once. */
function attemptTime(duration: string | number, what: string, note: (problem: string) => void): number {
  const value = milliseconds(duration, what, note);
  if (value > longestTimerMs) note(`${what} must be at most 24 days`);
  return value;
}

function instructionsText({ instructions }: AnyAgent): string {
  // A function's text stands for what it does: a deploy that edits it renders the instructions again.
  return typeof instructions === 'string' ? `text ${instructions}` : `function ${String(instructions)}`;
}
