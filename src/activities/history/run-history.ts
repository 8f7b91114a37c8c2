import type { Context } from '@temporalio/activity';
import { createPayloadReader } from '../../transcript/payload-reader.ts';
import type { RunHistory } from './transcript-store.ts';

/** The history of the run that an activity belongs to, read through the worker's own connection, converters and codecs. */
export function runHistory(context: Context): RunHistory {
  const { workflowExecution, namespace } = context.info;
  if (!workflowExecution)
    throw new TypeError('This activity belongs to no workflow; it only works inside an agent run.');
  const source = context.client.workflow;
  return {
    source,
    run: workflowExecution,
    readerFor: (workflowId) =>
      createPayloadReader(context.client.options.loadedDataConverter, { namespace, workflowId }),
    signal: context.cancellationSignal,
  };
}
