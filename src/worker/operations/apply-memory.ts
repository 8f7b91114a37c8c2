import { setFlagsFromString } from 'node:v8';
import { memoryBudget, memoryFacts, type MemoryBudget } from './memory-budget.ts';

/** Megabytes of a young generation's half, of which V8 takes three: its own 16 would be a fifth of a small process. */
const semiSpace = '--max-semi-space-size=8';

/** Node's options for a process that keeps to a budget from its start. */
export function nodeOptionsOf({ heapMb }: MemoryBudget): string[] {
  return [`--max-old-space-size=${heapMb}`, semiSpace];
}

/** The budget that the process goes by. */
export interface AppliedMemory extends MemoryBudget {
  /** The main isolate's heap may grow beyond its part. */
  isLoose: boolean;
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
  return { ...budget, isLoose: isBounded && facts.heap === undefined };
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
