export { createClient, CadenzaClient, type AgentReference, type CreateClientOptions, type StartOptions } from './client.ts';
export { RunHandle, type RunDescription } from './run-handle.ts';
export type { RunEvent } from './run-events.ts';
