import { createClient } from 'cadenza/client';
import { forecaster } from './agents.js';

const client = await createClient({ taskQueue: process.env.CADENZA_TASK_QUEUE ?? 'weather' });
const run = await client.start(forecaster, { city: 'Rome' });
const { output } = await run.result();
const { events } = await client.temporal.workflow.getHandle(run.workflowId).fetchHistory();
const builds = events?.map((event) => event.workflowTaskCompletedEventAttributes?.workerVersion?.buildId);
process.stdout.write(
  JSON.stringify({ output, builds: [...new Set(builds?.filter((build) => typeof build === 'string'))] }),
);
await client.close();
