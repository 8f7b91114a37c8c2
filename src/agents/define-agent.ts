import type { z } from 'zod';
import type { RunLimits } from '../protocol/agent-start.ts';
import type { Item, Json } from '../protocol/protocol.ts';
import type { Duration } from '../protocol/duration.ts';
import type { AnyTool } from './define-tool.ts';
import type { McpServer } from './mcp.ts';
import type { Delegate, Handoff } from './routes.ts';

/** What an instructions function knows of the run. */
export interface InstructionsContext<Input> {
  input: Input;
  workflowId: string;
  /** The turn that is about to begin, from 1. */
  turn: number;
}

/** Options a provider is given with every request. A provider that lacks one refuses the request by name. */
export interface ModelSettings {
  temperature?: number;
  topP?: number;
  /** Most tokens of one reply. */
  maxOutputTokens?: number;
  reasoningEffort?: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh';
  /** `auto` lets the model choose, `required` makes it call a tool, `none` keeps it from calling one. */
  toolChoice?: 'auto' | 'required' | 'none';
  parallelToolCalls?: boolean;
  seed?: number;
}

/** What an input guardrail sees. */
export interface GuardedInput {
  /** What was said since the model's last word: the input, or messages. */
  texts: readonly string[];
  /** The whole conversation. */
  items: readonly Item[];
  workflowId: string;
}

/** What an output guardrail sees. */
export interface GuardedOutput {
  output: Json;
  workflowId: string;
}

/** A check by code, on the worker. */
export interface Guardrail<Seen> {
  /** Names it in failures and to the model. */
  name: string;
  /** Returns why the guardrail trips, in words that may be recorded, or nothing. One that throws is repeated as `AgentCodeFailed`. */
  check: (seen: Seen) => string | undefined | Promise<string | undefined>;
  /** `end` ends the run as `GuardrailTripped`; `tell` tells the model, which answers again. Default `end`. */
  onTrip?: 'end' | 'tell';
}

/**
 * How a conversation that has become too long is shortened: the older turns are replaced, the first request and the latest turns stay,
 * and a call is never torn from its result.
 */
export interface Compaction {
  /** By a summary that a model makes, or by leaving out what is old. Default `model`. */
  with?: 'model' | 'truncate';
  /** Makes the summary. Default: the agent's own model. */
  model?: string;
  /** What the summariser is told. Default: Cadenza's own words. */
  instructions?: string;
  /** The part of the context window that a conversation may take, from 0 to 1. Default 0.8. */
  at?: number;
  /** The part of that which stays as it is. Default 0.3. */
  keep?: number;
}

/** The argument of {@link defineAgent}. */
export interface AgentOptions<Name extends string, In extends z.ZodType, Out extends z.ZodType> {
  /** Unique on a worker: letters, digits, `_` or `-`. */
  name: Name;
  /** One sentence for people and for agents that may hand over to this one. */
  description?: string;
  /**
   * What the model is told before the conversation. A function is called on the worker, and what it returns is stored with
   * the reply, so that it may read a clock or a database.
   */
  instructions: string | ((context: InstructionsContext<z.output<In>>) => string | Promise<string>);
  /** Whether an instructions function is called once a `run` and again after a deploy that changed it, or every `turn`. Default `run`. */
  instructionsPer?: 'run' | 'turn';
  /**
   * The model's name at the worker's provider, or `provider:model` at another one of the worker's. Several are tried in order, where one fails in
   * a way that another may not. Default: the provider's own.
   */
  model?: string | readonly string[];
  settings?: ModelSettings;
  tools?: readonly AnyTool[];
  /** Tools that the provider runs, in its own words: `{ type: 'web_search' }`. For models that are asked by the Responses API. */
  hostedTools?: readonly { type: string; [option: string]: Json }[];
  /** Servers whose tools the agent has besides its own, by the Model Context Protocol. They need the package `@modelcontextprotocol/sdk`. */
  mcpServers?: readonly McpServer[];
  /** Agents this one may pass control to: their output becomes this run's. Names, or {@link Handoff}s. */
  handoffs?: readonly (string | Handoff)[];
  /** Agents this one may give sub-tasks: their output comes back as the result of the call. Names, or {@link Delegate}s. */
  delegates?: readonly (string | Delegate)[];
  /** Default: a string. */
  input?: In;
  /** Default: the text of the model's last reply. */
  output?: Out;
  /** Look at what people say before the model does. */
  inputGuardrails?: readonly Guardrail<GuardedInput>[];
  /** Look at the output before the run ends with it. */
  outputGuardrails?: readonly Guardrail<GuardedOutput>[];
  limits?: RunLimits;
  /** Tokens that the model takes in. Default: known for OpenAI's models, otherwise 128,000. */
  contextWindow?: number;
  /** How a conversation that nears the context window (or 1 MB) is shortened; `false`: never, so that the provider refuses it in the end. */
  compaction?: Compaction | false;
  /** Time for one model call. Default 10 minutes. */
  modelTimeout?: Duration;
}

/** An agent: made by {@link defineAgent}. */
export interface Agent<
  Name extends string = string,
  In extends z.ZodType = z.ZodType,
  Out extends z.ZodType = z.ZodType,
> extends AgentOptions<Name, In, Out> {
  readonly kind: 'agent';
}

/** Any agent, whatever its schemas: what a registry holds. */
export type AnyAgent = Omit<Agent, 'instructions'> & {
  instructions: string | ((context: InstructionsContext<never>) => string | Promise<string>);
};

/** The value a run of this agent is started with. */
export type AgentInput<A> = A extends { readonly kind: 'agent'; input?: infer In }
  ? z.input<Extract<In, z.ZodType>>
  : never;

/** The value a run of this agent returns. */
export type AgentOutput<A> = A extends { readonly kind: 'agent'; output?: infer Out }
  ? z.output<Extract<Out, z.ZodType>>
  : never;

/**
 * Declares an agent: who it is, what it may do, and what bounds it.
 *
 * The definition stays on the worker. Workflow code knows the agent by name and type only, through `proxyAgents`, so that
 * a change to it can be deployed while runs are open.
 */
export function defineAgent<
  const Name extends string,
  In extends z.ZodType = z.ZodString,
  Out extends z.ZodType = z.ZodString,
>(options: AgentOptions<Name, In, Out>): Agent<Name, In, Out> {
  return Object.freeze({ ...options, kind: 'agent' as const });
}

/** Whether a value, such as an export of a module, is an agent. */
export function isAgent(value: unknown): value is AnyAgent {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'agent';
}

/** Settings as JSON, without the absent ones. */
export function settingsJson(settings: ModelSettings | undefined): { [key: string]: Json } {
  return JSON.parse(JSON.stringify(settings ?? {})) as { [key: string]: Json };
}
