/** An agent without tools, for worker processes whose model calls are counted. */
import { defineAgent } from 'cadenza';

export const speaker = defineAgent({ name: 'speaker', instructions: 'Answer.' });
