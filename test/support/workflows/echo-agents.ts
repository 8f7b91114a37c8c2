import { defineAgent } from 'cadenza';

/** Answers what the test's model says. */
export const echo = defineAgent({ name: 'echo', instructions: 'Echo.' });
