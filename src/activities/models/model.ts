import type { Item, ModelApi, Usage } from '../../protocol/protocol.ts';
import type { ProviderLimits } from '../../protocol/provider-limits.ts';
import type { ModelRequest } from '../../transcript/model-request.ts';

export type { ModelApi };

/** A provider of models, as the model activity uses it. */
export interface ModelProvider {
  readonly name: string;
  /** The model of agents that name none. */
  readonly defaultModel: string;
  /** What all workers together may ask of it. Default: no limits. */
  readonly limits?: ProviderLimits;
  /** The API that a model is asked by. Default: Chat Completions. */
  apiOf?(model: string): ModelApi;
  /** Sends one request, once. Throws a failure of `failures.ts`; Temporal repeats it. */
  call(request: ModelRequest, options: ModelCallOptions): Promise<ModelReply>;
}

/** What goes with a request. */
export interface ModelCallOptions {
  signal: AbortSignal;
  attempt: number;
  /** The provider's name on the worker, where it is not the default one. */
  named?: string;
  /** Called with each piece of the reply's text while it is written, by a provider that can. */
  onText?: (delta: string) => void;
}

/** A provider's answer in our terms. */
export interface ModelReply {
  items: Item[];
  usage: Usage;
  /** Why the model stopped. `cut`: its reply reached the length limit. */
  stopped: 'done' | 'cut' | 'filtered';
  /** The model declined, in these words. */
  refusal?: string;
  /** The model that answered, as the provider names it. */
  model?: string;
  /** The provider's id of the answer. */
  id?: string;
}
