import { msToNumber } from '@temporalio/common/lib/time.js';
import { Runtime, type WorkerOptions } from '@temporalio/worker';
import type { RegisteredAgent, Registry } from '../../agents/registry.ts';

/** What storing a finished call's result may take. */
const storeMs = 15_000;
/** A slow tool holds up a deploy so long at most; one that is cut off then is repeated elsewhere, or a `once` call is uncertain. */
const longestToolMs = 60 * 60 * 1_000;

/** How long the longest model call of any agent may take: as each of its models is tried in turn, all of them. */
export function longestModelCallMs(registry: Registry): number {
  return Math.max(0, ...agentsOf(registry).map(modelCallMs));
}

/** How long a stopping worker must wait so that no call under way is lost. */
export function drainMs(registry: Registry): number {
  const tools = agentsOf(registry).flatMap(({ tools: all }) =>
    [...all.values()].map((tool) => tool.timeoutMs),
  );
  return Math.max(longestModelCallMs(registry), Math.min(longestToolMs, Math.max(0, ...tools))) + storeMs;
}

function modelCallMs({ agent, modelTimeoutMs }: RegisteredAgent): number {
  return modelTimeoutMs * (Array.isArray(agent.model) ? Math.max(1, agent.model.length) : 1);
}

function agentsOf(registry: Registry): RegisteredAgent[] {
  return registry.names.map((name) => registry.get(name)).filter((agent) => agent !== undefined);
}

/** Warns of a drain that throws replies away which are paid for. */
export function warnOfShortDrain(registry: Registry, drain: WorkerOptions['shutdownGraceTime']): void {
  if (drain === undefined) return;
  const [given, longest] = [msToNumber(drain), longestModelCallMs(registry)];
  if (given >= longest) return;
  Runtime.instance().logger.warn(
    `A stopping worker waits ${given / 1_000} s for calls under way, and a model call may take ${longest / 1_000} s: its reply would be lost, and paid again`,
  );
}
