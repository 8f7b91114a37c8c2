import { z } from 'zod';
import type { Item, Json, ToolSchema } from '../protocol/protocol.ts';

/** An agent that control may be passed to. */
export interface Handoff {
  agent: string;
  /** Tells the model when to hand over. Default: the other agent's own description. */
  description?: string;
  /** Where its workers listen, if it is another team's. Such an agent need not be registered here. */
  taskQueue?: string;
  /** What the next agent sees of the conversation. A pure function of the items. Default: all of it. */
  filter?: (items: readonly Item[]) => Item[];
}

/** An agent that may be given a sub-task, whose output comes back as the result of the call. */
export interface Delegate {
  agent: string;
  /** Tells the model what the agent is for. Default: the other agent's own description. */
  description?: string;
  /** Where its workers listen, if it is another team's. Such an agent need not be registered here. */
  taskQueue?: string;
  /** The input of an agent that is not registered here. Default: text. */
  input?: z.ZodType;
  /** Answer the call at once: the agent goes on, is told when the other one has ended, and may message or cancel it. Default `false`. */
  background?: boolean;
}

/** A handoff or a delegation in the form in which turns use it. */
export interface Route {
  kind: 'handoff' | 'delegate';
  agent: string;
  background?: true;
  taskQueue?: string;
  filter?: (items: readonly Item[]) => Item[];
  /** Checks the arguments. */
  input: z.ZodType;
  /** The agent takes text, so the tool wraps it: JSON Schema's tools take objects. */
  wrapsText: boolean;
  schema: ToolSchema;
}

/** A tool for what an agent has others do in the background. */
export interface TaskRoute {
  kind: 'task';
  what: 'message' | 'cancel';
  /** Checks the arguments. */
  input: z.ZodType;
  schema: ToolSchema;
}

/** The name of the tool by which a model hands over to an agent. */
function handoffTool(agent: string): string {
  return `transfer_to_${agent}`.slice(0, 64);
}

/** The name of the tool by which a model gives an agent a sub-task. */
function delegateTool(agent: string): string {
  return `ask_${agent}`.slice(0, 64);
}

const handoffInput = z.object({ reason: z.string().describe('Why the other agent should take over.') });
const textInput = z.object({
  task: z.string().describe('All that the agent needs to know: it does not see this conversation.'),
});

/** The route of a handoff. `description` is the target's own where the handoff has none. */
export function handoffRoute(
  handoff: Handoff,
  description: string | undefined,
  toSchema: (schema: z.ZodType) => Json,
): Route {
  const { agent, taskQueue, filter } = handoff;
  return {
    kind: 'handoff',
    agent,
    ...(taskQueue !== undefined && { taskQueue }),
    ...(filter && { filter }),
    input: handoffInput,
    wrapsText: false,
    schema: {
      name: handoffTool(agent),
      description:
        `Passes the conversation to the agent "${agent}", which answers instead of you. ${handoff.description ?? description ?? ''}`.trim(),
      parameters: toSchema(handoffInput),
      strict: true,
    },
  };
}

/** The route of a delegation. The target's own input is used where it is an object; text is wrapped. */
export function delegateRoute(
  delegate: Delegate,
  target: { input: z.ZodType; description: string | undefined },
  toSchema: (schema: z.ZodType) => Json,
  isStrict: (schema: Json) => boolean,
): Route {
  const { agent, taskQueue, background } = delegate;
  const what = background
    ? `Gives the agent "${agent}" a task and goes on at once: you are told when it has ended.`
    : `Gives the agent "${agent}" a task and returns what it answers.`;
  const wrapsText = !(target.input instanceof z.ZodObject);
  const input = wrapsText ? textInput : target.input;
  const parameters = toSchema(input);
  return {
    kind: 'delegate',
    agent,
    ...(background && { background }),
    ...(taskQueue !== undefined && { taskQueue }),
    input,
    wrapsText,
    schema: {
      name: delegateTool(agent),
      description: `${what} ${delegate.description ?? target.description ?? ''}`.trim(),
      parameters,
      strict: isStrict(parameters),
    },
  };
}

const task = z.string().describe('The task, such as turn-2.0, as the call that began it was answered.');

/** The tools of an agent that has others work in the background. */
export function taskRoutes(toSchema: (schema: z.ZodType) => Json): TaskRoute[] {
  const route = (what: TaskRoute['what'], description: string, input: z.ZodType): TaskRoute => ({
    kind: 'task',
    what,
    input,
    schema: { name: `${what}_agent`, description, parameters: toSchema(input), strict: true },
  });
  return [
    route(
      'message',
      'Says something to an agent that works on a task in the background. It sees it at its next step.',
      z.object({ task, text: z.string().min(1) }),
    ),
    route('cancel', 'Stops an agent that works on a task in the background.', z.object({ task })),
  ];
}
