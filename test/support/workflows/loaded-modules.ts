export { callTwice } from './call-agents.ts';

/** The modules that this workflow has loaded for itself, as the SDK keeps them beside those that all workflows share. */
export async function loadedModules(): Promise<string[]> {
  const { __TEMPORAL_ACTIVATOR__: activator } = globalThis as unknown as {
    __TEMPORAL_ACTIVATOR__: { moduleCache: ReadonlyMap<string, unknown> };
  };
  return await Promise.resolve([...activator.moduleCache.keys()]);
}
