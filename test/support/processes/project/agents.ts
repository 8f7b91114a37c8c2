import { defineAgent, defineTool } from 'cadenza';
import { z } from 'zod';

const weather = defineTool({
  name: 'weather',
  description: 'The weather in a city.',
  input: z.object({ city: z.string() }),
  output: z.object({ celsius: z.number() }),
  effect: 'read',
  execute: ({ city }) => ({ celsius: city.length }),
});

export const forecaster = defineAgent({
  name: 'forecaster',
  instructions: 'Say how warm it is.',
  tools: [weather],
  input: z.object({ city: z.string() }),
  output: z.object({ celsius: z.number() }),
});
