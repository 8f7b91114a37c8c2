/** The agent of worker processes that are stopped while a model answers. */
import { defineAgent } from 'cadenza';

export const thinker = defineAgent({
  name: 'thinker',
  instructions: 'Think.',
  // The second is asked where the first fails: one call may take twice the time.
  model: ['test-model', 'other-model'],
  modelTimeout: '20 seconds',
});
