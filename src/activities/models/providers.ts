import type { ModelApi, ModelProvider } from './model.ts';

/** Where a model is asked: its provider, and its name there. */
export interface ModelTarget {
  provider: ModelProvider;
  /** The provider's name on this worker; absent for the one that is asked where no name is given. */
  named?: string;
  model: string;
  api: ModelApi;
}

/** The providers of a worker. A model is named as it is at the default one, or as `provider:model`. */
export class Providers {
  private readonly first: ModelProvider;
  private readonly named: ReadonlyMap<string, ModelProvider>;

  constructor(first: ModelProvider, named: Readonly<Record<string, ModelProvider>> = {}) {
    this.first = first;
    this.named = new Map(Object.entries(named));
    for (const name of this.named.keys()) {
      if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
        throw new TypeError(`The provider's name "${name}" must be 1 to 64 letters, digits, "_" or "-"`);
    }
  }

  /** Every provider, with its name where it has one. */
  get all(): [name: string | undefined, provider: ModelProvider][] {
    return [[undefined, this.first], ...this.named];
  }

  /** The target of a model's name; without one, the default provider's own. */
  target(name?: string): ModelTarget {
    const mark = name?.indexOf(':') ?? -1;
    // `llama3:8b` is a model's name, unless somebody calls a provider "llama3".
    const prefix = name !== undefined && mark > 0 ? name.slice(0, mark) : undefined;
    const provider = prefix === undefined ? undefined : this.named.get(prefix);
    if (provider && prefix !== undefined && name !== undefined)
      return target(provider, name.slice(mark + 1) || provider.defaultModel, prefix);
    return target(this.first, name ?? this.first.defaultModel);
  }

  /** The provider that a definition was made for; `undefined` where this worker has none of that name. */
  get(named: string | undefined): ModelProvider | undefined {
    return named === undefined ? this.first : this.named.get(named);
  }
}

function target(provider: ModelProvider, model: string, named?: string): ModelTarget {
  return { provider, model, api: provider.apiOf?.(model) ?? 'chat', ...(named !== undefined && { named }) };
}
