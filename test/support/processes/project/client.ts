import { createClient } from 'cadenza/client';
import { forecaster } from './agents.js';
import type { warmest } from './workflows.js';

const taskQueue = process.env.CADENZA_TASK_QUEUE ?? 'weather';
const client = await createClient({ taskQueue });
const run = await client.start(forecaster, { city: 'Rome' });
const types: string[] = [];
for await (const event of run.events()) types.push(event.type);
const { output, turns } = await run.result();
const celsius: number = output.celsius;
const best = await client.temporal.workflow.execute<typeof warmest>('warmest', {
  taskQueue,
  workflowId: `warmest-${taskQueue}`,
  args: [['Rome', 'Lisbon']],
});
process.stdout.write(JSON.stringify({ celsius, turns, best, types }));
await client.close();
