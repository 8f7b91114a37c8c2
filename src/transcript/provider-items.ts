import type { DefinitionSnapshot, ProviderItem } from '../protocol/protocol.ts';

/** Whether an item came from the very model that a definition asks, the only one that can make something of it. */
export function isFrom(
  { api, model, provider }: ProviderItem,
  definition: Pick<DefinitionSnapshot, 'api' | 'model' | 'provider'>,
): boolean {
  return api === definition.api && model === definition.model && provider === definition.provider;
}
