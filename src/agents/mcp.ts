import type { Duration } from '../protocol/duration.ts';
import type { Effect } from '../protocol/protocol.ts';
import type { AnyTool } from './define-tool.ts';

/** What an agent's author says of a tool that a server offers. */
export interface McpToolOptions {
  /** Default `once`, the safe one: what a server says of its tools proves nothing. */
  effect?: Effect;
  whenUncertain?: 'fail' | 'tell' | 'ask';
  /** Default: `false` where `effect` is said; otherwise a person is asked, unless a policy says otherwise. */
  needsApproval?: boolean;
  approval?: NonNullable<AnyTool['approval']>;
  /** Time for one attempt. Default 5 minutes. */
  timeout?: Duration;
  maxResultBytes?: number;
}

/** A server of tools that speaks the Model Context Protocol. Source: modelcontextprotocol.io, specification. */
export type McpServer = {
  /** Unique in an agent; the model sees its tools as `name_tool`. Agents that are given the same object share its connection. */
  name: string;
  /** What its tools are unless `tools` says otherwise. */
  defaults?: McpToolOptions;
  /** By the server's names of them: options that go before the defaults, or `false` for a tool that the agent is not to have. */
  tools?: { [tool: string]: McpToolOptions | false };
  /** The agent has these tools alone. Default: all. */
  only?: readonly string[];
} & (
  | {
      /** Started by each worker, and spoken to by its standard streams. */
      command: string;
      args?: readonly string[];
      /** Besides PATH, HOME and the like; nothing else of the worker's environment is passed on. */
      env?: Readonly<Record<string, string>>;
      cwd?: string;
    }
  | {
      /** Spoken to by streamable HTTP. */
      url: string;
      /** Sent with every request. Never recorded. */
      headers?: Readonly<Record<string, string>>;
    }
);
