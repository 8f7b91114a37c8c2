import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { clerkModel } from '../support/faults/clerk-model.ts';
import { effectsOf } from '../support/faults/struck-runs.ts';
import { ownWorker, startScene } from '../support/faults/scene.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

const timeout = 120_000;
const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(messageText);

function tool(name: string, execute: () => unknown, timeoutMs = 300_000) {
  return defineTool({
    name,
    description: 'Misbehaves.',
    input: z.object({}),
    effect: 'read',
    timeout: timeoutMs,
    retry: { maximumAttempts: 2, initialInterval: 1 },
    execute,
  });
}

function cycle(): object {
  const value: { self?: object } = {};
  value.self = value;
  return value;
}

const misbehaving: [name: string, execute: () => unknown, told: RegExp, timeoutMs?: number][] = [
  ['returns-10-MB', () => 'x'.repeat(10 * 1024 * 1024), /^x+[^]*10485760/],
  ['returns-a-cycle', cycle, /returned a value that JSON cannot hold/],
  ['returns-a-bigint', () => ({ amount: 1n }), /returned a value that JSON cannot hold/],
  ['returns-a-function', () => () => 1, /^null$/],
  ['returns-nothing', () => undefined, /^null$/],
  ['throws-a-string', () => Promise.reject('just words' as unknown as Error), /failed: just words$/],
  ['throws-nothing', () => Promise.reject(undefined as unknown as Error), /failed: undefined$/],
  ['throws-a-cycle', () => Promise.reject(cycle() as Error), /failed: \[object Object\]$/],
  ['throws-10-MB', () => Promise.reject(new Error('x'.repeat(10 * 1024 * 1024))), /failed: x+/],
  ['never-returns', async () => await new Promise(() => undefined), /did not finish within 1000 ms/, 1_000],
];

test(
  'what a tool returns or throws, however odd, is an answer of bounded size for the model',
  { timeout },
  async () => {
    const agent = defineAgent({
      name: 'patient',
      instructions: 'Use the tools.',
      tools: misbehaving.map(([name, execute, , timeoutMs]) => tool(name, execute, timeoutMs)),
    });
    await using harness = await startHarness({
      agents: [agent],
      respond: scriptedModel([
        { toolCalls: misbehaving.map(([name]) => ({ name, arguments: {} })) },
        (request) => ({ text: JSON.stringify(toolTexts(request)) }),
      ]),
    });
    const run = await harness.client.start(agent, 'go');
    const answers = JSON.parse(String((await run.result()).output)) as string[];
    for (const [index, [name, , told]] of misbehaving.entries()) {
      expect(answers[index], name).toMatch(told);
      expect(answers[index]?.length, name).toBeLessThanOrEqual(64 * 1024);
    }
  },
);

test('a tool that ignores its cancellation keeps neither the run nor its worker', { timeout }, async () => {
  const began = gate();
  const stubborn = tool('stubborn', async () => {
    began.open();
    return await new Promise(() => undefined);
  });
  const agent = defineAgent({ name: 'patient', instructions: 'Use the tools.', tools: [stubborn] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([{ toolCalls: [{ name: 'stubborn', arguments: {} }] }]),
  });
  const run = await harness.client.start(agent, 'go');
  await began.opened;
  await run.cancel();
  await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  // The harness stops its worker at the end, and waits until that is over.
});

test(
  'a promise that fails in the background of a tool ends neither the call nor the worker',
  { timeout },
  async () => {
    await using scene = await startScene({ agents: 'crash-agents.ts', respond: clerkModel });
    const worker = await scene.worker({ at: { 'after read': 'reject' }, program: ownWorker });
    const run = await scene.client.start('clerk', 'read');
    expect(await run.result()).toMatchObject({ output: 'found 1, read 2' });
    await vi.waitFor(() => expect(worker.output()).toContain('a promise failed that nobody waits for: '));
    expect(effectsOf(scene, run, 'read')).toHaveLength(1);
    // It still takes work.
    expect(await scene.client.run('clerk', 'charge')).toMatchObject({ output: 'found 1, charged 2' });
  },
);
