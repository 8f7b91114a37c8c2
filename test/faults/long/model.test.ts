import { expect, test } from 'vitest';
import { defineAgent } from 'cadenza';
import { startHarness } from '../../support/harness.ts';

test.each(['chat', 'responses'] as const)(
  'asked by %s, a model that says 5 MB each time, also as a summary, ends its run by name',
  { timeout: 400_000 },
  async (api) => {
    const agent = defineAgent({ name: 'asker', instructions: 'Ask.' });
    const text = 'x'.repeat(5 * 1024 * 1024);
    await using harness = await startHarness({
      agents: [agent],
      respond: () => ({ text }),
      api,
      stream: true,
    });
    const run = await harness.client.start(agent, 'go');
    await expect(run.result()).rejects.toMatchObject({ cause: { type: 'MistakeLimitReached' } });
    // Five answers, and what had to be summarised of them for the run to continue as new.
    expect(harness.server.requests.length).toBeGreaterThanOrEqual(5);
    expect(harness.server.requests.length).toBeLessThanOrEqual(15);
  },
);
