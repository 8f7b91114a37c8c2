import { expect, test } from 'vitest';
import { effectsOf, expectSettled } from '../support/faults/struck-runs.ts';
import { strikeWorker } from '../support/faults/struck-worker.ts';

test(
  'a worker that runs out of memory in a tool dies alone: its runs end as undisturbed ones do',
  { timeout: 240_000 },
  async () => {
    await using struck = await strikeWorker({ victim: { memory: 160 }, reading: 'allocate' });
    const { victim, survivor, runs, scene } = struck;
    // V8 aborts the process; some systems are quicker, and kill it.
    expect(['SIGABRT', 'SIGKILL', 'SIGTRAP']).toContain((await victim.ended).signal);
    expect(victim.output()).toMatch(/heap out of memory|heap limit/i);
    await expectSettled(scene, runs, { isUncertain: true });
    expect(effectsOf(scene, runs.read, 'read').map(({ pid }) => pid)).toEqual([victim.pid, survivor.pid]);
  },
);
