import type { WorkflowClient } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';

/** A workflow in Temporal's list, as the server sends it. */
export type ListedWorkflow = temporal.api.workflow.v1.IWorkflowExecutionInfo;

/** What listing needs of a client: `client.workflow` is one. */
type ListSource = Pick<WorkflowClient, 'workflowService' | 'options'>;

/**
 * The workflows that a query of Temporal's finds, newest first, page by page. Nothing in them is decoded: the list of the SDK's client ends with the
 * first memo that cannot be read, as where one run is encrypted with a key that this process does not have.
 */
export async function* listWorkflows(
  { workflowService, options: { namespace } }: ListSource,
  query: string,
  pageSize?: number,
): AsyncGenerator<ListedWorkflow, void, undefined> {
  let nextPageToken: Uint8Array | null | undefined = new Uint8Array();
  do {
    const response: temporal.api.workflowservice.v1.IListWorkflowExecutionsResponse =
      await workflowService.listWorkflowExecutions({
        namespace,
        query,
        nextPageToken: nextPageToken ?? null,
        ...(pageSize !== undefined && { pageSize }),
      });
    yield* response.executions ?? [];
    nextPageToken = response.nextPageToken;
  } while (nextPageToken && nextPageToken.length > 0);
}

/** One field of a listed workflow's memo; `undefined` where it has none, or this process cannot read it. */
export async function memoField(
  { options }: ListSource,
  { memo, execution }: ListedWorkflow,
  name: string,
): Promise<unknown> {
  const payload = memo?.fields?.[name];
  const workflowId = execution?.workflowId;
  if (!payload || !workflowId) return undefined;
  const { loadedDataConverter: converter, namespace } = options;
  const context = { type: 'workflow', namespace, workflowId } as const;
  try {
    return await decodeFromPayloadsAtIndex(converter, 0, [payload], context);
  } catch {
    return undefined;
  }
}
