/** A process of its own: prints the requests that it rebuilds from a history file, and knows nothing of any agent. */
import { readFileSync } from 'node:fs';
import { defaultDataConverter } from '@temporalio/common';
import { createPayloadReader, rebuildRequests, type HistoryEvent } from 'cadenza/client';
import { historyFromJson } from './history-json.ts';

const [file = '', namespace = '', workflowId = ''] = process.argv.slice(2);
const history = historyFromJson(readFileSync(file, 'utf8'));
const payloads = createPayloadReader(defaultDataConverter, { namespace, workflowId });
const rebuilt = await rebuildRequests((history.events ?? []) as HistoryEvent[], payloads);
process.stdout.write(
  JSON.stringify(rebuilt.map(({ id, request }) => ({ id, body: JSON.stringify(request) }))),
);
