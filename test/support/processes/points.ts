/** Places in the tools of worker processes where a test has something happen to that process, and to no other. */
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * What a process does to itself. `hold`: it does not come back; `wait`: it comes back when the file `go` is there; `exit`: it ends as by a library that calls `process.exit`; `allocate`: it takes
 * memory until there is none; `reject`: a promise fails that nobody waits for; `freeze`: it stops until somebody
 * continues it.
 */
export type PointAction = 'hold' | 'wait' | 'exit' | 'allocate' | 'reject' | 'freeze';

const actions = JSON.parse(process.env.TEST_AT ?? '{}') as Record<string, PointAction>;
const folder = process.env.TEST_LEDGER ?? '.';

/** Does what the test wants of this process at the point, after having written that it was reached. */
export async function reach(point: string, workflowId: string): Promise<void> {
  const action = actions[point];
  if (action === undefined) return;
  appendFileSync(join(folder, 'points'), `${JSON.stringify({ point, workflowId, pid: process.pid })}\n`);
  switch (action) {
    case 'hold':
      return await new Promise<never>(() => undefined);
    case 'wait':
      while (!existsSync(join(folder, 'go'))) await delay(50);
      return;
    case 'exit':
      return process.exit(7);
    case 'allocate':
      return await takeAllMemory();
    case 'reject':
      void Promise.reject(new Error('nobody waits for this'));
      return;
    case 'freeze':
      process.kill(process.pid, 'SIGSTOP');
      return;
  }
}

async function takeAllMemory(): Promise<never> {
  const taken: number[][] = [];
  for (;;) {
    taken.push(Array.from({ length: 200_000 }, (_, index) => index * taken.length + 0.5));
    // The heartbeats go on, as in a tool that reads a stream into memory.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
