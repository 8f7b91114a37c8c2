import { setFlagsFromString } from 'node:v8';
import { memoryBudget, memoryFacts, type MemoryBudget, type MemoryFacts } from './memory-budget.ts';

/**
 * Megabytes of a young generation's half. By itself V8 lets it grow to 64, and counts both halves against the bound of the whole heap: a small
 * heap whose old generation alone is bounded is then collected all the time, which takes a whole core.
 */
const semiSpace = '--max-semi-space-size=8';
/** Megabytes of an old generation beside which a young one of 128 does no harm. */
const roomyHeapMb = 512;

/** Node's options for a process that keeps to a budget from its start. */
export function nodeOptionsOf({ heapMb }: MemoryBudget): string[] {
  return [`--max-old-space-size=${heapMb}`, semiSpace];
}

/** The budget that the process goes by. */
export interface AppliedMemory extends MemoryBudget {
  /** Options of Node's that the process should have been started with, and could not give itself. */
  missing: string[];
}

/**
 * Makes the process keep to its budget, and returns how it is divided. The main isolate's heap can only be bounded where a process begins:
 * where its limit is known and no option of Node's says otherwise, the process begins anew in its own place, with the same id.
 */
export function applyMemory(wanted: number | undefined): AppliedMemory {
  const facts = memoryFacts(wanted);
  const budget = memoryBudget(facts);
  const isBounded = budget.from === 'CADENZA_MEMORY_MB' || budget.from === 'the control group';
  if (isBounded && facts.heap === undefined) beginAnew(budget);
  // Isolates that are made from now on, which is the one of the workflows, go by it; this one does not.
  setFlagsFromString(`--max-old-space-size=${budget.workflowHeapMb}`);
  if (isBounded) setFlagsFromString(semiSpace);
  return { ...budget, missing: missingOptions(facts, budget, isBounded) };
}

/** The options of Node that a process lacks which could not begin anew, or was given a part of them. */
export function missingOptions(
  { heap, semiSpace: hasSemiSpace }: MemoryFacts,
  budget: MemoryBudget,
  isBounded: boolean,
): string[] {
  if (heap === undefined) return isBounded ? nodeOptionsOf(budget) : [];
  return heap < roomyHeapMb && !hasSemiSpace ? [semiSpace] : [];
}

/** Comes back only where the platform or the version of Node cannot do it. */
function beginAnew(budget: MemoryBudget): void {
  const { execPath, execArgv, argv, env } = process;
  if (!process.execve || process.platform === 'win32') return;
  const script = argv.slice(1);
  process.execve(
    execPath,
    [execPath, ...execArgv, ...nodeOptionsOf(budget), ...script],
    // glibc's arenas, one for each thread, would hold on to tens of megabytes that are free.
    { MALLOC_ARENA_MAX: '2', ...env },
  );
}
