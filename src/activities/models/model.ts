import type { Item, Usage } from '../../protocol.ts';
import type { ChatRequest } from '../../transcript/chat-request.ts';

/** A provider of models, as the model activity uses it. */
export interface ModelProvider {
  readonly name: string;
  /** The model of agents that name none. */
  readonly defaultModel: string;
  /** Sends one request, once. Throws a failure of `failures.ts`; Temporal repeats it. */
  call(request: ChatRequest, options: { signal: AbortSignal; attempt: number }): Promise<ModelReply>;
}

/** A provider's answer in our terms. */
export interface ModelReply {
  items: Item[];
  usage: Usage;
  /** Why the model stopped. `cut`: its reply reached the length limit. */
  stopped: 'done' | 'cut' | 'filtered';
  /** The model declined, in these words. */
  refusal?: string;
}
