import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunEvent } from 'cadenza/client';
import { messageText, type ChatMessage } from '../../src/testing/chat-protocol.ts';
import {
  scriptedModel,
  type ModelServerOptions,
  type ModelServerRequest,
} from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

type Respond = ModelServerOptions['respond'];

/** Answers each agent, known by the first word of its instructions, with a script of its own. */
function byAgent(scripts: { [agent: string]: Respond }): Respond {
  return (request) => {
    const [agent = ''] = request.messages.slice(0, 1).map(messageText).join('').split(' ');
    const script = scripts[agent];
    if (!script) throw new Error(`no script for ${agent}`);
    return script(request);
  };
}

const texts = (messages: readonly ChatMessage[], role: string) =>
  messages.filter((message) => message.role === role).map(messageText);

/** A scout that works until its gate opens, and a lead that has it work in the background. */
function scouting(options: { limits?: object } = {}) {
  const opened = new Map<string, ReturnType<typeof gate>>();
  const gateOf = (place: string) => {
    const known = opened.get(place) ?? gate();
    opened.set(place, known);
    return known;
  };
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({ place: z.string() }),
    effect: 'read',
    async execute({ place }, { signal }) {
      await Promise.race([
        gateOf(place).opened,
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        ),
      ]);
      return `${place} is green`;
    },
  });
  const note = defineTool({
    name: 'note',
    description: 'Notes.',
    input: z.object({ text: z.string() }),
    effect: 'idempotent',
    execute: ({ text }) => `noted ${text}`,
  });
  const scout = defineAgent({ name: 'scout', instructions: 'scout the place', tools: [look] });
  const lead = defineAgent({
    name: 'lead',
    instructions: 'lead the work',
    tools: [note],
    delegates: [{ agent: 'scout', background: true }],
    ...options,
  });
  const respondScout: Respond = ({ messages }) => {
    const [place = ''] = texts(messages, 'user');
    const found = texts(messages, 'tool');
    const told = texts(messages, 'user').slice(1);
    return found.length === 0
      ? { toolCalls: [{ name: 'look', arguments: { place } }] }
      : { text: [...found, ...told].join(', ') };
  };
  return { scout, lead, respondScout, open: (place: string) => gateOf(place).open() };
}

const ask = (...places: string[]) => ({
  toolCalls: places.map((task) => ({ name: 'ask_scout', arguments: { task } })),
});
const lastUser = ({ messages }: ModelServerRequest) => texts(messages, 'user').slice(1).join(' | ');

test('an agent goes on while another works in the background, is told when it is done, and its last answer waits for that', async () => {
  const { scout, lead, respondScout, open } = scouting();
  await using harness = await startHarness({
    agents: [scout, lead],
    // Everything is read from the history, as by another worker.
    transcripts: { cacheBytes: 0 },
    respond: byAgent({
      scout: respondScout,
      lead: scriptedModel([
        ask('north', 'south'),
        { toolCalls: [{ name: 'note', arguments: { text: 'meanwhile' } }] },
        { text: 'both are on their way' },
        { text: 'one is back' },
        (request) => ({ text: lastUser(request) }),
      ]),
    }),
  });
  const run = await harness.client.start(lead, 'Go.');
  await expect
    .poll(async () => (await run.status()).now?.doing, { timeout: 20_000 })
    .toBe('waiting for agents');
  expect(harness.server.requests.filter(({ body }) => messageTextOf(body).startsWith('lead'))).toHaveLength(
    3,
  );
  open('south');
  await expect.poll(async () => (await run.status()).now?.turn, { timeout: 20_000 }).toBe(4);
  open('north');
  const result = await run.result();
  expect(result).toMatchObject({
    output:
      'Task turn-1.1 of the agent "scout" is done:\n\nsouth is green | Task turn-1.0 of the agent "scout" is done:\n\nnorth is green',
    agents: ['lead', 'scout'],
    turns: 9,
  });
  const [, second] = await run.requests();
  expect(texts(second?.request.messages as never, 'tool')).toEqual([
    expect.stringContaining('Started in the background as task "turn-1.0"') as string,
    expect.stringContaining('task "turn-1.1"') as string,
  ]);
});

function messageTextOf(body: unknown): string {
  return (body as { messages: ChatMessage[] }).messages.slice(0, 1).map(messageText).join('');
}

test('an agent messages and cancels what works in the background, and is told what there is when it errs', async () => {
  const { scout, lead, respondScout, open } = scouting();
  const told: string[] = [];
  await using harness = await startHarness({
    agents: [scout, lead],
    respond: byAgent({
      scout: respondScout,
      lead: scriptedModel([
        ask('north', 'south'),
        {
          toolCalls: [
            { name: 'message_agent', arguments: { task: 'turn-1.0', text: 'look up, too' } },
            { name: 'message_agent', arguments: { task: 'turn-9.9', text: 'hello?' } },
            { name: 'cancel_agent', arguments: { task: 'turn-1.1' } },
          ],
        },
        (request) => {
          told.push(...texts(request.messages, 'tool'));
          open('north');
          return { text: 'waiting' };
        },
        (request) => ({ text: lastUser(request) }),
      ]),
    }),
  });
  const run = await harness.client.start(lead, 'Go.');
  const { output } = await run.result();
  expect(output).toContain('Task turn-1.0 of the agent "scout" is done:\n\nnorth is green, look up, too');
  expect(output).toContain('Task turn-1.1 of the agent "scout" came to nothing: it was cancelled.');
  expect(told.slice(-3)).toEqual([
    'Task turn-1.0 was told.',
    'There is no task "turn-9.9" under way. Under way: turn-1.0, turn-1.1.',
    'Task turn-1.1 was asked to stop.',
  ]);
});

test('a run that fails or is cancelled takes along what works for it in the background', async () => {
  const { scout, lead, respondScout } = scouting({ limits: { turns: 50, toolCallsPerTurn: 3 } });
  await using harness = await startHarness({
    agents: [scout, lead],
    respond: byAgent({
      scout: respondScout,
      lead: ({ messages }) =>
        texts(messages, 'user')[0] === 'fail' && texts(messages, 'tool').length > 0
          ? ask('1', '2', '3', '4')
          : texts(messages, 'tool').length > 0
            ? { text: 'waiting' }
            : ask('north'),
    }),
  });
  const childOf = async (id: string) =>
    (await harness.client.temporal.workflow.getHandle(`${id}/turn-1.0-scout`).describe()).status.name;
  const failing = await harness.client.start(lead, 'fail');
  await expect(failing.result()).rejects.toMatchObject({ cause: { type: 'ToolCallLimitReached' } });
  await expect.poll(async () => await childOf(failing.workflowId), { timeout: 20_000 }).toBe('CANCELLED');
  const cancelled = await harness.client.start(lead, 'wait');
  await expect
    .poll(async () => (await cancelled.status()).now?.doing, { timeout: 20_000 })
    .toBe('waiting for agents');
  await cancelled.cancel({ by: 'ada' });
  await expect(cancelled.result()).rejects.toThrow('cancelled by ada');
  await expect.poll(async () => await childOf(cancelled.workflowId), { timeout: 20_000 }).toBe('CANCELLED');
});

test('a failed task is told, and control is not passed on while one is under way', async () => {
  const { scout, lead: base, respondScout, open } = scouting();
  const lead = defineAgent({ ...base, handoffs: ['scout'] });
  const broken = defineAgent({ ...scout, limits: { turns: 1 } });
  await using harness = await startHarness({
    agents: [broken, lead],
    respond: byAgent({
      scout: respondScout,
      lead: scriptedModel([
        ask('north'),
        { toolCalls: [{ name: 'transfer_to_scout', arguments: { reason: 'tired' } }] },
        (request) => {
          expect(texts(request.messages, 'tool').at(-1)).toContain('turn-1.0 would have nobody to report to');
          open('north');
          return { text: 'waiting' };
        },
        (request) => ({ text: lastUser(request) }),
      ]),
    }),
  });
  expect((await harness.client.run(lead, 'Go.')).output).toMatch(
    /^Task turn-1\.0 of the agent "scout" came to nothing: it failed: .*the run has used its 1 turns/,
  );
});

test('a pause holds what works in the background, and approvals there are decided at the root', async () => {
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ amount: z.number() }),
    needsApproval: true,
    execute: ({ amount }) => `paid ${amount}`,
  });
  const payer = defineAgent({ name: 'payer', instructions: 'payer of bills', tools: [pay] });
  const lead = defineAgent({
    name: 'lead',
    instructions: 'lead the work',
    delegates: [{ agent: 'payer', background: true }],
  });
  await using harness = await startHarness({
    agents: [payer, lead],
    respond: byAgent({
      payer: ({ messages }) =>
        texts(messages, 'tool').length > 0
          ? { text: texts(messages, 'tool').join() }
          : { toolCalls: [{ name: 'pay', arguments: { amount: 7 } }] },
      lead: scriptedModel([
        { toolCalls: [{ name: 'ask_payer', arguments: { task: 'pay' } }] },
        { text: 'asked' },
        (request) => ({ text: lastUser(request) }),
      ]),
    }),
  });
  const run = await harness.client.start(lead, 'Go.');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  await run.pause();
  const child = harness.client.get(`${run.workflowId}/turn-1.0-payer`);
  await expect.poll(async () => (await child.status()).now?.paused).toBe(true);
  const [call] = await run.approvals();
  await run.decide(call?.id ?? '', { verdict: 'approve' });
  await run.resume();
  expect((await run.result()).output).toBe('Task turn-1.0 of the agent "payer" is done:\n\npaid 7');
});

test('in a conversation the answer comes at once, and another when the task is done', async () => {
  const { scout, lead, respondScout, open } = scouting();
  await using harness = await startHarness({
    agents: [scout, lead],
    respond: byAgent({
      scout: respondScout,
      lead: scriptedModel([
        ask('north'),
        { text: 'I have sent somebody.' },
        { text: 'Still waiting.' },
        (request) => ({ text: `Back: ${lastUser(request)}` }),
        { text: 'You are welcome.' },
      ]),
    }),
  });
  const say = async (text: string) =>
    (await (await harness.client.send(lead, id, text, { idleTimeout: '1 hour' })).reply()).output;
  const id = `talk-${harness.taskQueue}`;
  expect(await say('How is it in the north?')).toBe('I have sent somebody.');
  expect(await say('And?')).toBe('Still waiting.');
  const run = harness.client.get(id);
  open('north');
  const seen: RunEvent[] = [];
  for await (const event of run.events()) {
    seen.push(event);
    if (event.type === 'agent-finished') break;
  }
  await expect.poll(async () => (await run.status()).now?.turn, { timeout: 20_000 }).toBe(4);
  expect(await say('Thanks!')).toBe('You are welcome.');
  const requests = await run.requests();
  expect(JSON.parse(JSON.stringify(requests.at(-1)?.request.messages)).map(messageText)).toContain(
    'Task turn-1.0 of the agent "scout" is done:\n\nnorth is green',
  );
  await run.close();
  await run.result();
});

test('L1: what is lent to the background is not there for the agent itself, and comes back', async () => {
  const { scout, lead, respondScout, open } = scouting();
  await using harness = await startHarness({
    agents: [scout, lead],
    respond: byAgent({
      scout: respondScout,
      lead: scriptedModel([
        ask('north'),
        { toolCalls: [{ name: 'note', arguments: { text: 'a' } }] },
        { toolCalls: [{ name: 'note', arguments: { text: 'b' } }] },
        { toolCalls: [{ name: 'note', arguments: { text: 'c' } }] },
        (request) => ({ text: lastUser(request) }),
      ]),
    }),
  });
  const run = await harness.client.start(lead, 'Go.', { limits: { turns: 7 } });
  // Of the 6 turns that are left 3 are lent; with 4 the agent has used its own, and waits instead of failing.
  await expect.poll(async () => (await run.status()).now?.turn, { timeout: 20_000 }).toBe(4);
  open('north');
  const result = await run.result();
  expect(result.output).toContain('north is green');
  expect(result.turns).toBe(7);
});
