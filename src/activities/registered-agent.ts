import type { RegisteredAgent, Registry } from '../agents/registry.ts';
import { failure } from '../protocol/failures.ts';
import { nearest } from './nearest.ts';

/** How long after it was scheduled a call waits for a worker that knows its agent. */
const deployPatienceMs = 5 * 60_000;

/** The agent of a call. One that this worker lacks may be on its way in a rolling deploy, so the call is repeated for a while. */
export function registeredAgent(registry: Registry, name: string, scheduledAt: number): RegisteredAgent {
  const agent = registry.get(name);
  if (agent) return agent;
  const waited = Date.now() - scheduledAt;
  const known = registry.names.join(', ');
  const near = nearest(name, registry.names);
  const meant = near === undefined ? '' : `; did you mean "${near}"?`;
  throw failure('UnknownAgent', `no agent "${name}" on this worker, which has: ${known}${meant}`, {
    final: waited > deployPatienceMs,
    // Fewer attempts than a tool call has, over the whole of that time.
    nextRetryMs: waited < 20_000 ? 5_000 : 15_000,
  });
}
