import type { ModelRequest } from '../../transcript/model-request.ts';
import type { ModelReply } from '../models/model.ts';

/** What is said of a request to a model. */
export interface ChatCall {
  agent: string;
  turn: number;
  /** The name of the provider that is asked. */
  provider: string;
  /** The provider's name on the worker, where it is not the default one. */
  named?: string;
  /** As it is sent. */
  request: ModelRequest['request'];
}

/** Told of requests to models, inside the activity that makes them. The worker's tracing is one; without it, nothing is traced. */
export interface ActivityTracing {
  chat(call: ChatCall, ask: () => Promise<ModelReply>): Promise<ModelReply>;
}

/** Traces nothing. */
export const noTracing: ActivityTracing = { chat: async (_call, ask) => await ask() };
