export { createWorker, defaultTaskQueue, type CreateWorkerOptions } from './create-worker.ts';
export { CadenzaPlugin, type CadenzaOptions } from './plugin.ts';
export type { WatchdogOptions } from './watchdog/watchdog.ts';
export { openaiProvider, type OpenAIProviderOptions } from '../activities/models/openai-provider.ts';
export { defaultPrices, type Price, type PriceTable } from '../activities/models/prices.ts';
export type { PolicyCall, WorkerRule } from '../activities/policy.ts';
export type { ModelProvider, ModelReply } from '../activities/models/model.ts';
export type { TranscriptCounters, TranscriptStoreOptions } from '../activities/transcript-store.ts';
export { createRegistry, type AgentSource } from '../agents/registry.ts';
