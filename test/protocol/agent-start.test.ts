import { expect, test } from 'vitest';
import { agentStart, type RunLimits } from '../../src/protocol/agent-start.ts';

test('a run starts with its agent and input, and with limits only where somebody set some', () => {
  expect(agentStart('writer', { topic: 'scores' }, {})).toEqual({
    agent: 'writer',
    input: { topic: 'scores' },
  });
});

test('a deadline is counted in milliseconds, and an absent limit stays absent', () => {
  const limits = { turns: 3, cost: 0.5, deadline: '2 minutes' } as const;
  expect(agentStart('writer', 'x', { limits }).limits).toEqual({ turns: 3, cost: 0.5, deadlineMs: 120_000 });
  expect(agentStart('writer', 'x', { limits: { deadline: 1_500 } }).limits).toEqual({ deadlineMs: 1_500 });
});

test.each([
  ['turns', { turns: Number.POSITIVE_INFINITY }],
  ['turns', { turns: 0 }],
  ['tokens', { tokens: Number.NaN }],
  ['cost', { cost: -1 }],
  ['mistakes', { mistakes: '3' }],
  ['toolCallsPerTurn', { toolCallsPerTurn: null }],
  ['deadline', { deadline: Number.POSITIVE_INFINITY }],
  ['deadline', { deadline: 0 }],
  ['deadline', { deadline: 'tomorrow' }],
])('a limit that history could not hold is refused by name: %s of %j', (name, limits) => {
  expect(() => agentStart('writer', 'x', { limits: limits as RunLimits })).toThrow(
    expect.objectContaining({
      type: 'InvalidInput',
      nonRetryable: true,
      message: expect.stringContaining(`limits.${name} must be`),
    }),
  );
});
