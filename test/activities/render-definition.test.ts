import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { AgentOptions } from 'cadenza';
import { Providers } from '../../src/activities/models/providers.ts';
import { renderDefinition } from '../../src/activities/turn/render-definition.ts';
import type { RegisteredAgent } from '../../src/agents/registry.ts';
import type { Json } from '../../src/protocol/protocol.ts';
import { chatRequest } from '../../src/transcript/chat-request.ts';
import { extend, type Conversation } from '../../src/transcript/conversation.ts';
import { registered, tools } from './registered.ts';

type Options = Partial<AgentOptions<'solver', z.ZodType, z.ZodType>>;

const providers = new Providers({
  name: 'none',
  defaultModel: 'default-model',
  call: () => Promise.reject(new Error()),
});
/** A turn with the model that the agent names. */
const turnOf = ({ agent: { model } }: RegisteredAgent, number = 1) => ({
  workflowId: 'run-1',
  number,
  target: providers.target(typeof model === 'string' ? model : model?.[0]),
});
const nothing = (): never => {
  throw new Error('not asked for');
};

function beginning(input: Json): Conversation {
  const contents = {
    input: () => ({ input }),
    inherited: nothing,
    continued: nothing,
    child: nothing,
    reply: nothing,
    result: nothing,
    message: nothing,
    decision: nothing,
  };
  return extend(undefined, 'turn-1', [{ input: true }], contents);
}

/** The definition of a first turn, and of the next one after a reply that stored the first. */
async function twoTurns(first: RegisteredAgent, second = first, input: Json = 'Hello.') {
  const before = beginning(input);
  const one = await renderDefinition(first, before, turnOf(first));
  const after: Conversation = {
    ...before,
    id: 'turn-2',
    definitions: new Map([[one.digest, one.snapshot]]),
    definition: one.digest,
  };
  return { one, two: await renderDefinition(second, after, turnOf(second, 2)) };
}

/** Instructions that are never the same twice. */
function ticking(options: Options = {}): RegisteredAgent {
  let calls = 0;
  return registered({ instructions: () => `Call ${++calls}.`, ...options });
}

describe('the definition of a turn', () => {
  test('holds everything that the model is given besides the conversation', async () => {
    const agent = registered({
      model: 'large',
      tools,
      output: z.object({ answer: z.string() }),
      settings: { temperature: 0 },
    });
    const { snapshot, known } = await renderDefinition(agent, beginning('Hello.'), turnOf(agent));
    expect(known).toBe(false);
    expect(snapshot).toMatchObject({
      agent: 'solver',
      api: 'chat',
      model: 'large',
      instructions: 'Solve it.',
      tools: [{ name: 'search' }, { name: 'pay' }],
      output: { name: 'solver_output', strict: true },
      settings: { temperature: 0 },
    });
    expect(await renderDefinition(registered(), beginning(''), turnOf(registered()))).toMatchObject({
      snapshot: { model: 'default-model' },
    });
  });

  test('makes the same request after it was stored and read back', async () => {
    const agent = registered({ tools, output: z.object({ a: z.string() }), settings: { topP: 1, seed: 3 } });
    const conversation = beginning({ question: 'Why?' });
    const { snapshot } = await renderDefinition(
      registered({ ...agent.agent, input: z.unknown() } as Options),
      conversation,
      turnOf(registered()),
    );
    const stored = JSON.parse(JSON.stringify(snapshot)) as typeof snapshot;
    expect(JSON.stringify(chatRequest(stored, conversation.items))).toBe(
      JSON.stringify(chatRequest(snapshot, conversation.items)),
    );
  });

  test('is stored once: the next turn knows it', async () => {
    const { one, two } = await twoTurns(registered({ tools }));
    expect(two).toEqual({ ...one, known: true });
  });

  test('is new after a deploy that changed it', async () => {
    const first = registered({ tools });
    for (const changed of [{ tools, instructions: 'Solve it well.' }, { tools, model: 'other' }, {}]) {
      const { one, two } = await twoTurns(first, registered(changed));
      expect(two.known).toBe(false);
      expect(two.digest).not.toBe(one.digest);
    }
  });
});

describe('T3: instructions that a function makes', () => {
  test('know the input, the run and the turn', async () => {
    const agent = registered({
      input: z.object({ name: z.string().trim() }),
      instructions: async ({ input, workflowId, turn: number }) =>
        await Promise.resolve(`${JSON.stringify(input)} ${workflowId} ${number}`),
    });
    const { snapshot } = await renderDefinition(agent, beginning({ name: ' Ada ' }), turnOf(agent));
    expect(snapshot.instructions).toBe('{"name":"Ada"} run-1 1');
  });

  test('are made once a run, and then taken from the history', async () => {
    const { one, two } = await twoTurns(ticking());
    expect(one.snapshot.instructions).toBe('Call 1.');
    expect(two).toEqual({ ...one, known: true });
  });

  test('are made every turn where the author says so', async () => {
    const { one, two } = await twoTurns(ticking({ instructionsPer: 'turn' }));
    expect(two.snapshot.instructions).toBe('Call 2.');
    expect(two.known).toBe(false);
    expect(two.digest).not.toBe(one.digest);
  });

  test('are stored again only when they changed', async () => {
    const agent = registered({
      instructions: ({ turn: number }) => (number < 3 ? 'Early.' : 'Late.'),
      instructionsPer: 'turn',
    });
    const { one, two } = await twoTurns(agent);
    expect(two).toEqual({ ...one, known: true });
  });

  test('are made again after a deploy that changed the function', async () => {
    const { two } = await twoTurns(ticking(), registered({ instructions: () => 'Deployed.' }));
    expect(two).toMatchObject({ known: false, snapshot: { instructions: 'Deployed.' } });
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no clock');
      },
      'no clock',
    ],
    ['rejects with no error', async () => await Promise.reject('plain words' as never), 'plain words'],
    ['returns nothing', () => undefined as never, 'it returned undefined instead of text'],
    ['returns null', () => null as never, 'it returned null instead of text'],
  ])('fail by the agent’s name when the function %s', async (_what, instructions, words) => {
    await expect(
      renderDefinition(registered({ instructions }), beginning('Hello.'), turnOf(registered())),
    ).rejects.toMatchObject({
      type: 'AgentCodeFailed',
      nonRetryable: false,
      message: `the instructions function of agent "solver" failed: ${words}`,
    });
  });
});
