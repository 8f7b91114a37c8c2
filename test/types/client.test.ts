import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, type Json, type RunResult } from 'cadenza';
import type { CadenzaClient } from 'cadenza/client';

const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
const support = defineAgent({
  name: 'support',
  instructions: 'Help.',
  input: z.object({ order: z.string(), urgent: z.boolean().default(false) }),
  output: z.object({ answer: z.string(), refund: z.number().nullable() }),
});

/** Never called: the compiler reads it. */
async function backend(client: CadenzaClient) {
  const run = await client.start(support, { order: 'A-17' }, { id: 'support-17', limits: { cost: 1 } });
  expectTypeOf(run.workflowId).toEqualTypeOf<string>();
  const result = await run.result();
  expectTypeOf(result).toEqualTypeOf<RunResult<{ answer: string; refund: number | null }>>();
  expectTypeOf(await client.run(support, { order: 'A-17', urgent: true })).toEqualTypeOf<typeof result>();
  expectTypeOf((await client.run(plain, 'Hello.')).output).toEqualTypeOf<string>();
  expectTypeOf(result.agents).toEqualTypeOf<string[]>();

  // A backend without the agents' code knows them by name, and their data as JSON.
  expectTypeOf((await client.run('support', { order: 'A-17' })).output).toEqualTypeOf<Json>();
  expectTypeOf((await client.get('support-17').result()).output).toEqualTypeOf<Json>();
  expectTypeOf(
    (await client.get<{ answer: string }>('support-17').result()).output.answer,
  ).toEqualTypeOf<string>();

  for await (const event of run.events()) {
    expectTypeOf(event).not.toBeAny();
    expectTypeOf(event.cursor).toEqualTypeOf<string>();
    if (event.type === 'tool-finished') expectTypeOf(event.output).toEqualTypeOf<Json>();
    if (event.type === 'completed') expectTypeOf(event.result).not.toBeAny();
  }
  const { now } = await run.status();
  expectTypeOf(now?.turn).toEqualTypeOf<number | undefined>();

  // @ts-expect-error the input has no such field
  await client.start(support, { oder: 'A-17' });
  // @ts-expect-error a field of the input has another type
  await client.run(support, { order: 17 });
  // @ts-expect-error an agent without an input schema takes text
  await client.start(plain, { text: 'Hello.' });
  // @ts-expect-error an agent takes its input
  await client.start(support);
  // @ts-expect-error a date is not JSON
  await client.start('support', { at: new Date() });
  // @ts-expect-error a number is no agent
  await client.start(7, 'Hello.');
  // @ts-expect-error the output has no such field
  expect(result.output.anser).toBeDefined();
  // @ts-expect-error a limit has another type
  await client.start(plain, 'Hello.', { limits: { turns: '3' } });
}

test('inputs and outputs of runs are typed by their agents', () => {
  expectTypeOf(backend).returns.resolves.toBeVoid();
});
