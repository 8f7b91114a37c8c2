import { z } from 'zod';
import { wrapper, type RegisteredAgent, type RegisteredTool } from '../../agents/registry.ts';
import type { Route, TaskRoute } from '../../agents/routes.ts';
import { canonicalJson, toJson } from '../../protocol/digest.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import {
  callsOf,
  protocolVersion,
  type CallItem,
  type CallPlan,
  type Decision,
  type Json,
  type RunPlan,
} from '../../protocol/protocol.ts';
import { judgeCall, noPolicy, type Policy } from './policy.ts';
import { duplicateMark } from '../models/reply-parts.ts';
import type { ModelReply } from '../models/model.ts';

/** Longest text of one mistake that goes back to the model. */
const longestProblem = 2_000;
/** Calls of one reply, whatever limit a run has: what is decided of all of them is stored in one payload. */
const mostCalls = 1_000;
/** Characters of all mistakes of one reply. */
const longestProblems = 256 * 1024;
/** Largest output, as it is stored: it becomes the workflow's result, which Temporal stores as one payload. */
const largestOutput = 1024 * 1024;

/** The run that asks, as far as it bears on what a reply means. */
export interface Asked {
  workflowId: string;
  policy: Policy;
  /** The version of its workflow code: it is answered with nothing newer. */
  v: number;
}

/** What a reply means: which calls run and under which options, whether it is the output, or what the model has to mend. */
export async function decide(
  agent: RegisteredAgent,
  reply: ModelReply,
  asked: Partial<Asked> = {},
): Promise<Decision> {
  const run: Asked = { workflowId: '', policy: noPolicy, v: protocolVersion, ...asked };
  if (reply.refusal)
    return {
      kind: 'end',
      type: 'ModelRefused',
      message: `the model declined: ${reply.refusal.slice(0, longestProblem)}`,
    };
  if (reply.stopped === 'filtered') {
    return {
      kind: 'end',
      type: 'ModelContentFiltered',
      message: "the provider's content filter stopped the reply",
    };
  }
  const calls = callsOf(reply.items);
  if (calls.length === 0) return await decideOutput(agent, reply);
  if (calls.length > mostCalls) {
    const said = `the model asked for ${calls.length} tool calls in one turn; no run may have more than ${mostCalls}`;
    return { kind: 'end', type: 'ToolCallLimitReached', message: said };
  }
  const plans = await Promise.all(
    calls.map(async (call, index) => {
      const cut = reply.stopped === 'cut' && index === calls.length - 1;
      return cut ? { refused: cutCall } : await planCall(agent, call, run);
    }),
  );
  return decideCalls(
    plans.map((plan) => ('refused' in plan ? { refused: shortened(plan.refused, calls.length) } : plan)),
  );
}

const cutCall = 'Not executed: the reply reached the length limit within this call. Send it again, shorter.';
/** Longest arguments of a call that another agent answers: they become the input of its run. */
const longestTask = 256 * 1024;

/** A plan, or the wish to hand over, of which a reply can have only one. */
type Wish = CallPlan | { handoff: Route };

/** The words of one mistake, shorter where there are very many. */
function shortened(problem: string, calls: number): string {
  return problem.slice(0, Math.floor(longestProblems / calls));
}

function decideCalls(wishes: Wish[]): Decision {
  const index = wishes.findIndex((wish) => 'handoff' in wish);
  const chosen = wishes[index];
  if (!chosen || !('handoff' in chosen)) return { kind: 'calls', calls: wishes as CallPlan[] };
  const { agent, taskQueue } = chosen.handoff;
  const refused = `Not executed: the same reply passed control to "${agent}".`;
  const calls = wishes.map((wish) => ('refused' in wish ? wish : { refused }));
  return { kind: 'handoff', agent, index, calls, ...(taskQueue !== undefined && { taskQueue }) };
}

async function planCall(
  agent: RegisteredAgent,
  call: CallItem,
  { workflowId, policy, v }: Asked,
): Promise<Wish> {
  if (call.id.includes(duplicateMark)) {
    return {
      refused:
        'Not executed: an earlier call of the same reply has the same id. Send every call with an id of its own.',
    };
  }
  const registered = agent.tools.get(call.name);
  const route = agent.routes.get(call.name);
  if (!registered && !route) return { refused: unknownTool(agent, call.name) };
  const parsed = parseArguments(call.arguments);
  if ('problem' in parsed) return { refused: parsed.problem };
  const checked = await checkInput(agent, call.name, parsed.value);
  if ('problem' in checked) return { refused: checked.problem };
  const judged = await judgeCall(agent, registered ?? call.name, policy, {
    value: parsed.value,
    input: checked.input,
    workflowId,
  });
  if (judged && 'denied' in judged) return { refused: judged.denied };
  if (!registered) return planRoute(route as Route | TaskRoute, call, v);
  return { ...planTool(registered), ...(judged && { approval: judged }) };
}

function planRoute(route: Route | TaskRoute, call: CallItem, v: number): Wish {
  if (route.kind === 'task')
    return v < 3
      ? { refused: 'Not executed: nothing is under way in the background.' }
      : { task: route.what };
  if (route.kind === 'handoff') return { handoff: route };
  if (call.arguments.length > longestTask) {
    return { refused: `The task is longer than ${longestTask} characters. Send a shorter one.` };
  }
  return {
    delegate: route.agent,
    ...(route.taskQueue !== undefined && { taskQueue: route.taskQueue }),
    ...(route.wrapsText && { text: true as const }),
    // An older workflow waits for the other agent, as it always did.
    ...(route.background && v >= 3 && { background: true as const }),
  };
}

function planTool({ tool, timeoutMs, retry, maxBytes }: RegisteredTool): RunPlan {
  return {
    tool: tool.name,
    effect: tool.effect ?? 'once',
    timeoutMs,
    maxBytes,
    ...(tool.whenUncertain && tool.whenUncertain !== 'fail' && { whenUncertain: tool.whenUncertain }),
    ...(Object.keys(retry).length > 0 && { retry }),
  };
}

/** Tells the model which tools there are. */
export function unknownTool(agent: RegisteredAgent, name: string): string {
  const known = [...agent.tools.keys(), ...agent.routes.keys()];
  return `There is no tool "${name.slice(0, 100)}". ${known.length > 0 ? `The tools are: ${known.join(', ')}.` : 'There are no tools: answer directly.'}`;
}

/** The arguments' JSON, or what is wrong with it in words for the model. No text at all counts as no arguments. */
export function parseArguments(text: string): { value: Json } | { problem: string } {
  if (text.trim() === '') return { value: {} };
  try {
    return { value: JSON.parse(text) as Json };
  } catch (thrown) {
    return {
      problem: `The arguments are not valid JSON: ${describeThrown(thrown)}. Send the call again with one JSON object.`,
    };
  }
}

/** The arguments as the tool takes them, or what does not fit in zod's own words. */
export async function checkInput(
  agent: RegisteredAgent,
  tool: string,
  value: Json,
): Promise<{ input: unknown } | { problem: string }> {
  const schema = agent.tools.get(tool)?.tool.input ?? agent.routes.get(tool)?.input;
  if (!schema) return { problem: unknownTool(agent, tool) };
  const parsed = await checkValue(agent, schema, value);
  if (parsed.success) return { input: parsed.data };
  return {
    problem: `The arguments do not fit the tool's schema:\n${z.prettifyError(parsed.error)}`.slice(
      0,
      longestProblem,
    ),
  };
}

async function decideOutput(agent: RegisteredAgent, reply: ModelReply): Promise<Decision> {
  const text = reply.items.map((item) => (item.type === 'message' ? item.text : '')).join('');
  if (reply.stopped === 'cut') {
    return {
      kind: 'correct',
      problem: 'Your reply was cut off at the length limit. Answer again, more briefly.',
    };
  }
  if (text.trim() === '') {
    return { kind: 'correct', problem: 'Your reply was empty. Call a tool, or give your final answer.' };
  }
  const bytes = Buffer.byteLength(JSON.stringify(reply.items));
  if (bytes > largestOutput) return tooLarge(bytes);
  if (!agent.output) return { kind: 'output' };
  const answer = parseAnswer(text);
  const json = agent.output.wrapped ? unwrap(answer) : answer;
  if (json === undefined) {
    return {
      kind: 'correct',
      problem: 'Your answer must be one JSON value that fits the required schema, and nothing else.',
    };
  }
  const parsed = await checkValue(agent, agent.output.zod, json);
  if (!parsed.success) {
    const words = z.prettifyError(parsed.error).slice(0, longestProblem);
    return { kind: 'correct', problem: `Your answer does not fit the required schema:\n${words}` };
  }
  const output = storable(agent, parsed.data);
  const plain = unfence(text) === undefined && json === answer;
  if (plain && canonicalJson(output) === canonicalJson(json)) return { kind: 'output', json: true };
  const both = bytes + Buffer.byteLength(JSON.stringify(output));
  return both > largestOutput ? tooLarge(both) : { kind: 'output', output };
}

/** The value of an answer whose schema had to be put into an object; some models leave the object out. */
function unwrap(answer: Json | undefined): Json | undefined {
  const isObject = typeof answer === 'object' && answer !== null && !Array.isArray(answer);
  return isObject && wrapper in answer ? answer[wrapper] : answer;
}

function tooLarge(bytes: number): Decision {
  return {
    kind: 'correct',
    problem: `Your answer has ${bytes} bytes; at most ${largestOutput} are possible. Answer more briefly.`,
  };
}

/** What a schema made of an answer, as JSON. */
function storable({ agent }: RegisteredAgent, value: unknown): Json {
  try {
    return toJson(value);
  } catch (thrown) {
    const why = `the output schema of agent "${agent.name}" made a value that JSON cannot hold`;
    throw failure('AgentCodeFailed', `${why}: ${describeThrown(thrown)}`, {
      cause: toError(thrown),
      final: true,
    });
  }
}

function parseAnswer(text: string): Json | undefined {
  try {
    return JSON.parse(unfence(text) ?? text) as Json;
  } catch {
    return undefined;
  }
}

/** What stands in the Markdown fence that models like to put around JSON; `undefined` where there is none. */
function unfence(text: string): string | undefined {
  const fenced = text.trim();
  const firstLine = fenced.indexOf('\n');
  if (firstLine === -1 || !fenced.endsWith('```')) return undefined;
  return /^```(?:json)?\s*$/i.test(fenced.slice(0, firstLine)) ? fenced.slice(firstLine, -3) : undefined;
}

/** Checks a value; what a schema's own functions throw is the agent's failure, not the model's. */
export async function checkValue(
  agent: RegisteredAgent,
  schema: z.ZodType,
  value: unknown,
): Promise<z.ZodSafeParseResult<unknown>> {
  try {
    return await schema.safeParseAsync(value);
  } catch (thrown) {
    throw failure(
      'AgentCodeFailed',
      `a schema of agent "${agent.agent.name}" threw: ${describeThrown(thrown)}`,
      {
        cause: toError(thrown),
        final: true,
      },
    );
  }
}
