/** Agents whose tools and code let secrets of their process out in every way that there is. */
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import { defineAgent, defineTool, ToolError } from 'cadenza';

const env = process.env;
const all = () =>
  `${env.OPENAI_API_KEY} ${env.TEMPORAL_API_KEY} ${env.CADENZA_PROVIDER_LOCAL_HEADERS} ${env.TEST_DATABASE}`;
const input = z.object({});

const tools = [
  defineTool({
    name: 'throws',
    description: 'x',
    input,
    effect: 'read',
    retry: { maximumAttempts: 2, initialInterval: 1 },
    execute: () => {
      throw new Error(`cannot log in with ${all()}`, { cause: new Error(all()) });
    },
  }),
  defineTool({
    name: 'throws-details',
    description: 'x',
    input,
    effect: 'read',
    retry: { maximumAttempts: 2, initialInterval: 1 },
    execute: () => {
      throw ApplicationFailure.create({ message: all(), type: 'Odd', details: [{ [all()]: [all()] }] });
    },
  }),
  defineTool({
    name: 'tells',
    description: 'x',
    input,
    effect: 'read',
    execute: () => {
      throw new ToolError(`ask with ${all()}`);
    },
  }),
  defineTool({
    name: 'returns',
    description: 'x',
    input,
    effect: 'read',
    execute: () => ({ all: all(), nested: [{ env: { ...env } }] }),
  }),
  defineTool({
    name: 'prints',
    description: 'x',
    input,
    effect: 'read',
    execute: (_input, { log }) => {
      log.warn(`with ${all()}`, { env: { ...env }, error: new Error(all()) });
      process.stdout.write(`out ${all()}\n`);
      process.stderr.write(`err ${all()}\n`);
      return 'printed';
    },
  }),
  defineTool({
    name: 'once',
    description: 'x',
    input,
    effect: 'once',
    execute: () => {
      throw new Error(all());
    },
  }),
];

export const leaky = defineAgent({ name: 'leaky', instructions: 'x', tools });
export const local = defineAgent({ name: 'local', instructions: 'x', model: 'local:m' });
export const rude = defineAgent({
  name: 'rude',
  instructions: () => {
    throw new Error(all());
  },
});
export const served = defineAgent({
  name: 'served',
  instructions: 'x',
  mcpServers: [
    {
      name: 'crm',
      url: `${env.TEST_ECHO}/mcp`,
      headers: { authorization: `Bearer ${env.TEST_MCP}` },
      defaults: { effect: 'read' },
    },
  ],
});
