import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { CadenzaClient, WaitingCall } from 'cadenza/client';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import { describeFailure } from '../launcher/describe-failure.ts';
import { triage } from './agents.ts';
import { InvalidPosition } from './follow-conversation.ts';

/** What a conversation may be called; it is the workflow id too, and the runs below it are called `<id>/…`. */
const conversationId = /^[\w.-]{1,100}$/;
const longestBody = 64 * 1024;
/** How long one conversation may take to say what waits in it. */
const patienceMs = 3_000;

/** What becomes of a request that Cadenza refuses, by the failure's type. */
const refusals: Record<string, ContentfulStatusCode> = {
  ConversationClosed: 409,
  DecisionRefused: 409,
  MessageRefused: 422,
};

/** The conversation that the path names. */
export function idOf(c: Context): string {
  const id = c.req.param('id') ?? '';
  if (conversationId.test(id)) return id;
  throw new HTTPException(400, {
    message: 'a conversation is called by 1 to 100 letters, digits, ".", "_" or "-"',
  });
}

/** The body, as the schema says. Only JSON: what a form of another site may send without asking is something else. */
export async function bodyOf<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const refuse = (message: string) => new HTTPException(400, { message });
  if (!/^application\/json\b/.test(c.req.header('content-type') ?? ''))
    throw refuse('send JSON, with the content type application/json');
  const text = await c.req.text();
  if (text.length > longestBody) throw refuse(`the body is longer than ${longestBody} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('the body is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refuse(z.prettifyError(parsed.error));
}

/** The conversation's id, where there is such a one; otherwise throws what becomes a 404. */
export async function findConversation(client: CadenzaClient, id: string): Promise<string> {
  await client.temporal.workflow.getHandle(id).describe();
  return id;
}

/** What waits for a person: in one conversation, or in all that are open. The listing of all may be some seconds behind. */
export async function listApprovals(client: CadenzaClient, id: string | undefined): Promise<WaitingCall[]> {
  if (id !== undefined) return await client.get(id).approvals();
  const asked: Promise<WaitingCall[]>[] = [];
  try {
    for await (const { workflowId, agent } of client.list({ query: 'ExecutionStatus = "Running"' })) {
      if (agent !== triage.name) continue;
      const approvals = client.temporal.withDeadline(Date.now() + patienceMs, async () =>
        client.get(workflowId).approvals(),
      );
      // One that has ended since, or whose worker is away, must not hide the others.
      asked.push(approvals.catch(() => []));
    }
  } catch (thrown) {
    // A listing that the server breaks off shows what it had found.
    if (!isGrpcServiceError(thrown) && !(thrown instanceof ServiceError)) throw thrown;
    process.stderr.write(`${describeFailure(thrown)}\n`);
  }
  return (await Promise.all(asked)).flat();
}

/** What the caller is told of an error: the fault of the request in full, anything else without its details. */
export function describeRefusal(thrown: Error): { status: ContentfulStatusCode; error: string } {
  if (thrown instanceof HTTPException) return { status: thrown.status, error: thrown.message };
  if (thrown instanceof InvalidPosition) return { status: 400, error: thrown.message };
  if (thrown instanceof WorkflowNotFoundError) return { status: 404, error: 'no such conversation is open' };
  const failure = thrown instanceof ApplicationFailure ? thrown : thrown.cause;
  const status = failure instanceof ApplicationFailure ? refusals[failure.type ?? ''] : undefined;
  if (status !== undefined) return { status, error: (failure as Error).message };
  process.stderr.write(`${describeFailure(thrown)}\n`);
  if (
    thrown instanceof ServiceError ||
    isGrpcServiceError(thrown) ||
    /timeout|unavailable/i.test(thrown.name)
  )
    return { status: 503, error: 'Temporal or its workers do not answer; try again' };
  return { status: 500, error: 'something went wrong' };
}
