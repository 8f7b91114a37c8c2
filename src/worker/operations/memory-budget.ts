import { totalmem } from 'node:os';

const mebibyte = 1024 * 1024;

/** What a worker process with nothing to go by allows itself: it may not be alone on its machine. */
const unlimitedMb = 1_024;
/** Megabytes of a process that are no heap of either isolate: Node, the SDK's native part, code, young generations, buffers of the network. */
const outsideMb = 240;
/** The main isolate's part of the rest: conversations, requests and replies. The workflows' isolate has the other. */
const mainShare = 0.55;
/** Megabytes that the main isolate holds without a run: modules, and what remains of bundling the workflows. */
const mainBaseMb = 100;
/** Megabytes that the workflows' isolate holds without a run. */
const workflowsBaseMb = 40;
/** Megabytes of a cached workflow, generously: an idle run takes less, and one with many turns keeps references for each. */
const workflowMb = 1;
/** Megabytes of a call under way: the conversation as text, as JSON, and as bytes on their way. */
const callMb = 1;
const leastCalls = 10;
/** The SDK's own default; a worker that is to have more calls is told so. */
const mostCalls = 100;
/** More conversations than that are hardly ever in use at the same time. */
const mostCacheMb = 1_024;

/** How a process divides its memory. */
export interface MemoryBudget {
  /** All of it, in megabytes. */
  readonly megabytes: number;
  /** What says so. */
  readonly from: 'CADENZA_MEMORY_MB' | '--max-old-space-size' | 'the control group' | 'the default';
  /** Largest old generation of the main isolate, and of the one that runs workflows, in megabytes. */
  readonly heapMb: number;
  readonly workflowHeapMb: number;
  readonly maxCachedWorkflows: number;
  readonly transcriptBytes: number;
  readonly activitySlots: number;
}

/** What is known of a process's memory, in megabytes. */
export interface MemoryFacts {
  /** `CADENZA_MEMORY_MB`. */
  wanted?: number | undefined;
  /** Of `--max-old-space-size`, where somebody set it. */
  heap?: number | undefined;
  /** Whether somebody set `--max-semi-space-size`. */
  semiSpace?: boolean;
  /** Of the control group (a container's limit), where there is one. */
  group?: number | undefined;
}

/** Divides the memory that a process may take among cached workflows, conversations and calls under way. */
export function memoryBudget({ wanted, heap, group }: MemoryFacts): MemoryBudget {
  const [megabytes, from] =
    wanted !== undefined
      ? ([wanted, 'CADENZA_MEMORY_MB'] as const)
      : heap !== undefined
        ? ([Math.round(heap / mainShare + outsideMb), '--max-old-space-size'] as const)
        : group !== undefined
          ? // The system's own buffers count for a container too.
            ([Math.round(group * 0.9), 'the control group'] as const)
          : ([unlimitedMb, 'the default'] as const);
  const rest = Math.max(0, megabytes - outsideMb);
  const heapMb = heap ?? Math.round(rest * mainShare);
  const workflowHeapMb = Math.max(64, Math.round(rest * (1 - mainShare)));
  const free = Math.max(8, heapMb - mainBaseMb) / 2;
  return {
    megabytes,
    from,
    heapMb,
    workflowHeapMb,
    // The SDK needs two.
    maxCachedWorkflows: Math.max(10, Math.floor((workflowHeapMb - workflowsBaseMb) / workflowMb)),
    transcriptBytes: Math.floor(Math.min(free, mostCacheMb) * mebibyte),
    activitySlots: Math.min(mostCalls, Math.max(leastCalls, Math.floor(free / callMb))),
  };
}

/** What this process can tell of its memory. */
export function memoryFacts(wanted: number | undefined): MemoryFacts {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  const heap = /--max[-_]old[-_]space[-_]size[= ](\d+)/.exec(options)?.[1];
  const group = process.constrainedMemory();
  return {
    wanted,
    ...(heap !== undefined && { heap: Number(heap) }),
    semiSpace: /--max[-_]semi[-_]space[-_]size[= ]\d/.test(options),
    // Without a limit it says 0, or a number that no machine has.
    ...(group > 0 && group < totalmem() && { group: Math.floor(group / mebibyte) }),
  };
}
