import { expect, test } from 'vitest';
import { clerkModel } from '../../support/faults/clerk-model.ts';
import { startScene } from '../../support/faults/scene.ts';
import { effectsOf, expectSettled } from '../../support/faults/struck-runs.ts';
import { strikeWorker } from '../../support/faults/struck-worker.ts';

const timeout = 400_000;

test(
  'a tool that ends its worker’s process costs its runs nothing that was finished',
  { timeout },
  async () => {
    await using struck = await strikeWorker({ reading: 'exit' });
    expect(await struck.victim.ended).toEqual({ code: 7, signal: null });
    await expectSettled(struck.scene, struck.runs, { isUncertain: true });
  },
);

test(
  'a worker that runs out of memory in a tool dies alone: its runs end as undisturbed ones do',
  { timeout },
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

test(
  'a worker that is frozen past its heartbeats and wakes again repeats and spoils nothing',
  { timeout },
  async () => {
    await using struck = await strikeWorker({ tools: 'wait', strike: (victim) => victim.kill('SIGSTOP') });
    const { scene, victim, survivor, runs } = struck;
    await expectSettled(scene, runs, { isUncertain: true });
    const before = scene.ledger.entries.length;
    scene.go();
    victim.kill('SIGCONT');
    // Awake, it takes work again, alone, and nothing of what it had before comes of it.
    await survivor[Symbol.asyncDispose]();
    expect((await scene.client.run('clerk', 'charge', { id: 'afterwards' })).output).toBe(
      'found 1, charged 2',
    );
    // A call that had come to it unseen it may do once more, where that is harmless, and no other.
    const later = scene.ledger.entries.slice(before).filter(({ workflowId }) => workflowId !== 'afterwards');
    expect(later.filter(({ tool }) => ['send', 'post', 'wire'].includes(tool))).toEqual([]);
    expect(new Set(effectsOf(scene, runs.charge, 'charge').map(({ key }) => key)).size).toBe(1);
  },
);

test('a worker told to stop whose drain is too short hands its calls on at once', { timeout }, async () => {
  await using struck = await strikeWorker({
    victim: { env: { CADENZA_DRAIN_SECONDS: '1' } },
    strike: async (victim) => {
      victim.kill('SIGTERM');
      expect(await victim.ended).toEqual({ code: 0, signal: null });
    },
  });
  await expectSettled(struck.scene, struck.runs, { isUncertain: true });
});

test(
  'a tool that kills every worker is given up after five of them, and its run goes on',
  { timeout },
  async () => {
    await using scene = await startScene({ agents: 'crash-agents.ts', respond: clerkModel });
    const run = await scene.client.start('clerk', 'read');
    const over = run.result();
    let deaths = 0;
    for (;;) {
      const worker = await scene.worker({ at: { 'after read': 'exit' } });
      const end = await Promise.race([worker.ended, over]);
      if (!('code' in end)) break;
      expect(end).toEqual({ code: 7, signal: null });
      deaths += 1;
    }
    expect((await over).output).toMatch(/^found 1, The tool "read" is not started again: 5 workers died/);
    expect(deaths).toBe(5);
    expect(effectsOf(scene, run, 'read')).toHaveLength(5);
  },
);
