import { randomUUID } from 'node:crypto';
import {
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { identified } from '../protocol/agent-start.ts';
import type { Attachment } from '../protocol/attachments.ts';
import { failure } from '../protocol/failures.ts';
import { messageProblem } from '../protocol/message-problem.ts';
import type { PolicyChange, PolicyRule, RunRule } from '../protocol/policy.ts';
import {
  callsOf,
  names,
  parseCallId,
  type AgentStart,
  type ApprovalDecision,
  type Json,
  type PendingApproval,
  type RunResult,
  type RunStatus,
  type RunTotals,
  type UserMessage,
} from '../protocol/protocol.ts';
import { readForward, readReverse } from '../transcript/history-events.ts';
import { createPayloadReader, type PayloadReader } from '../transcript/payload-reader.ts';
import { readInheritance, readTranscript, type TranscriptSource } from '../transcript/read-transcript.ts';
import { RecordReader } from '../transcript/records.ts';
import { rebuildRequests, type RebuiltRequest } from '../transcript/requests.ts';
import { refusedByServer } from './refused-by-server.ts';
import { acrossContinueAsNew } from './across-continue-as-new.ts';
import { waitForAnswer, type Answer } from './answers.ts';
import { chainOf } from './chain.ts';
import { rewindRun, type RewindOptions } from './rewind.ts';
import { usageAtEnd, usageNow } from './run-usage.ts';
import { withText } from './live-text.ts';
import {
  describeOrArchived,
  historySource,
  redacted,
  redactedDecision,
  type DescribedRun,
  type Reading,
} from './reading.ts';
import { watchRun, type RunEvent } from './run-events.ts';
import { shownUncertainty, splitApprovalId, type WaitingCall } from './waiting-call.ts';

/** Where a run stands: Temporal's word, and for an open run what it is doing. */
export interface RunDescription {
  workflowId: string;
  runId: string;
  /** Temporal's name of the state: `RUNNING`, `COMPLETED`, `FAILED`, `CANCELLED`, `TERMINATED`, `TIMED_OUT`, … */
  state: string;
  startedAt: Date;
  closedAt?: Date;
  /** Absent where the run is closed, or no worker answered. */
  now?: RunStatus;
}

/** Who completes or fails a call, and under which id, so that doing it twice does no harm. */
export interface DecisionOptions {
  by?: string;
  decisionId?: string;
}

/** How a deferred call is completed. */
export interface CompletionOptions extends DecisionOptions {
  /** Images and files that go with the result. */
  attachments?: readonly Attachment[];
}

/** One run, open or closed. */
export class RunHandle<Output> {
  readonly workflowId: string;
  readonly runId: string | undefined;
  private readonly client: Client;
  private readonly handle: WorkflowHandle;
  private readonly reading: Reading;

  constructor(client: Client, workflowId: string, runId?: string, reading: Reading = {}) {
    this.client = client;
    this.reading = reading;
    this.workflowId = workflowId;
    this.runId = runId;
    this.handle = client.workflow.getHandle(workflowId, undefined, {
      ...(runId !== undefined && { firstExecutionRunId: runId }),
    });
  }

  /** Waits for the run's end. Throws Temporal's `WorkflowFailedError`, whose `cause` says by type what ended it. */
  async result(): Promise<RunResult<Output>> {
    try {
      return (await this.handle.result()) as RunResult<Output>;
    } catch (thrown) {
      if (!(thrown instanceof WorkflowFailedError) || !(thrown.cause instanceof CancelledFailure))
        throw thrown;
      const request = await this.cancelRequest();
      if (!request) throw thrown;
      throw new WorkflowFailedError(describeCancel(request), thrown.cause, thrown.retryState);
    }
  }

  /**
   * What the run, and those below it that have ended, have used so far; the cost is `null` where it is not known. `undefined` where nobody can say:
   * no worker answers for an open run, or a closed one did not end by itself.
   */
  async usage(): Promise<RunTotals | undefined> {
    const { state, now } = await this.status();
    // What was used by then is part of what the run that continues it says.
    if (state === 'CONTINUED_AS_NEW') return undefined;
    return state === 'RUNNING' ? usageNow(now) : await usageAtEnd(this.result());
  }

  /** Where the run stands now. A run whose workers are all away is described without what it is doing. */
  async status(): Promise<RunDescription> {
    const base = await this.describe();
    if (base.state !== 'RUNNING') return base;
    try {
      const now = await this.client.connection.withDeadline(
        Date.now() + 3_000,
        async () => await this.handle.query<RunStatus>(names.status),
      );
      return { ...base, now };
    } catch {
      return base;
    }
  }

  /**
   * What happens in the run, from its beginning or after a cursor, until it ends; then the iterator is done. New events come as
   * the server writes them. Leaving the loop, or aborting the signal, cancels nothing. With `follow: false` it is done after what has
   * happened so far. With `text` it also yields the text of replies while it is written, where the workers let it be watched.
   */
  events(
    options: { after?: string; signal?: AbortSignal; follow?: boolean; text?: boolean } = {},
  ): AsyncGenerator<RunEvent, void, undefined> {
    const { workflowId, runId } = this;
    const { source } = this.source();
    const payloads = this.payloads();
    const watch = (signal = options.signal) =>
      watchRun(
        source,
        payloads,
        { workflowId, ...(runId && { runId }) },
        { ...options, ...(signal && { signal }) },
      );
    if (!options.text) return watch();
    const live = { source, payloads, workflowId, ...(this.reading.texts && { texts: this.reading.texts }) };
    return withText(watch, live, options);
  }

  /**
   * Says something to the run; the model sees it at its next turn, and a run that was about to finish answers it first. Returns
   * when the server has stored it. Sending it again under the same id does nothing. Throws `MessageRefused` for a text that is empty
   * or too long, and where more has been said than the run could take in so far (10,000 signals, Temporal's limit): send it again
   * later. Throws Temporal's `WorkflowNotFoundError` for a run that is closed.
   */
  async message(
    text: string,
    options: { id?: string; attachments?: readonly Attachment[] } = {},
  ): Promise<{ id: string }> {
    const { id = randomUUID(), attachments = [] } = options;
    const said = await redacted(text, this.reading);
    const message: UserMessage = {
      id,
      text: said,
      ...(attachments.length > 0 && { attachments: [...attachments] }),
    };
    const problem = messageProblem(message);
    if (problem !== undefined) throw failure('MessageRefused', `the message was not accepted: ${problem}`);
    await this.tell(names.message, message);
    return { id: message.id };
  }

  /**
   * Waits for the answer to a message, however long ago it was sent. Messages that one turn saw have one answer. Throws
   * `MessageUnanswered` where the run ended without one.
   */
  async replyTo(messageId: string, options: { signal?: AbortSignal } = {}): Promise<Answer> {
    const { workflowId, runId } = this;
    return await waitForAnswer(
      { ...this.source(), ...options },
      { workflowId, messageId, ...(runId !== undefined && { runId }) },
    );
  }

  /** Ends a conversation once what was asked is answered. Other runs end by themselves, or by {@link cancel}. */
  async close(options: { by?: string } = {}): Promise<void> {
    await this.tell(names.close, options);
  }

  /**
   * Cuts short the answer that a conversation is making to a message, or in a turn: a model call under way is aborted, tools are cancelled
   * (a `once` tool is left to finish), and the next message is waited for. It does nothing where that answer has been given, so that a late
   * stop never cuts another one. Throws a `TypeError` where neither a message nor a turn is named.
   */
  async stop(request: { messageId: string; by?: string } | { turn: number; by?: string }): Promise<void> {
    if (!('messageId' in request || 'turn' in request))
      throw new TypeError('Say which answer is to be stopped: by `messageId` or `turn`');
    await this.tell(names.stop, request);
  }

  /** Lets a person answer in a conversation instead of the model, by {@link say}, until {@link handBack}. An answer under way is still given. */
  async takeOver(options: { by?: string } = {}): Promise<void> {
    await this.tell(names.takeOver, options);
  }

  /** Answers in the agent's place. The model sees it as its own words. Saying it again under the same id does nothing. */
  async say(text: string, options: { by?: string; id?: string } = {}): Promise<{ id: string }> {
    const { id = randomUUID(), by } = options;
    const said = await redacted(text, this.reading);
    const message: UserMessage = { id, text: said, ...(by !== undefined && { by }) };
    const problem = messageProblem(message);
    if (problem !== undefined) throw failure('MessageRefused', `it was not accepted: ${problem}`);
    await this.tell(names.say, message);
    return { id };
  }

  /** Lets the model answer again; what was asked last and not answered is its next turn. */
  async handBack(options: { by?: string } = {}): Promise<void> {
    await this.tell(names.handBack, options);
  }

  /**
   * Lets the run and those below it begin nothing new, until somebody resumes it; paused time does not count against the deadline.
   * What is under way finishes, or with `now` is cut off and done again afterwards (a `once` tool is left to finish).
   */
  async pause(options: { now?: boolean; by?: string } = {}): Promise<void> {
    await this.tell(names.pause, options);
  }

  /** Lets a paused run go on. Does nothing to a run that is not paused. */
  async resume(options: { by?: string } = {}): Promise<void> {
    await this.tell(names.resume, options);
  }

  /** The calls that wait for a person, in this run and in those below it, with the arguments as the model gave them. */
  async approvals(): Promise<WaitingCall[]> {
    const waiting = await this.handle.query<PendingApproval[]>(names.approvals);
    return await Promise.all(waiting.map(async (approval) => await this.withArguments(approval)));
  }

  /**
   * Decides on a call that waits: `id` and `digest` are those of {@link approvals}. Throws a `WorkflowUpdateFailedError`, whose cause
   * has the type `DecisionRefused`, for a call that does not wait, was decided, has changed, whose run has ended, or for arguments that do not fit.
   */
  async decide(
    id: string,
    decision: Omit<ApprovalDecision, 'id' | 'call'> & { decisionId?: string },
  ): Promise<void> {
    const { decisionId = randomUUID(), ...given } = decision;
    const rest = await redactedDecision(given, this.reading);
    const [workflowId, call] = splitApprovalId(id, this.workflowId);
    const argument: ApprovalDecision = { ...rest, id: decisionId, call };
    try {
      await this.client.workflow
        .getHandle(workflowId)
        .executeUpdate(names.decide, { updateId: decisionId, args: [argument] });
    } catch (thrown) {
      if (!(thrown instanceof WorkflowNotFoundError)) throw thrown;
      const why = `the run "${workflowId}" has ended, or was never there`;
      throw new WorkflowUpdateFailedError('Workflow Update failed', failure('DecisionRefused', why));
    }
  }

  /**
   * Supplies the result of a deferred tool's call, which must fit the tool's output schema. `id` is the call's position (`turn-1.0`), or its
   * id in {@link approvals} or among the events. Throws as {@link decide} does.
   */
  async complete(id: string, output: Json, options: CompletionOptions = {}): Promise<void> {
    const { attachments = [], ...rest } = options;
    const attached = attachments.length > 0 ? { attachments: [...attachments] } : {};
    await this.decide(id, { ...rest, verdict: 'result', output, ...attached });
  }

  /** Says that a deferred tool's call came to nothing; the model is told why. */
  async fail(id: string, reason: string, options: DecisionOptions = {}): Promise<void> {
    await this.decide(id, { ...options, verdict: 'reject', reason });
  }

  /** The rules about tool calls that count in the run, the first that meets a call before the others. It needs a worker. */
  async policy(): Promise<PolicyRule[]> {
    return await this.handle.query<PolicyRule[]>(names.policy);
  }

  /**
   * Changes the rules about tool calls, in this run and in those below it, and returns the rules that then count. What is added goes before
   * what is there, or takes the place of the rule with its id. Calls that wait for a person, and need not any more, go on.
   *
   * Throws `InvalidInput` for a malformed rule, and a `WorkflowUpdateFailedError` for more rules than a run may have (100, or 16 KB).
   */
  async changePolicy(change: {
    add?: readonly RunRule[];
    remove?: readonly string[];
    by?: string;
  }): Promise<PolicyRule[]> {
    const { add = [], remove = [], by } = change;
    const argument: PolicyChange = {
      add: identified(add, `rule-${randomUUID().slice(0, 8)}`),
      remove: [...remove],
      ...(by !== undefined && { by }),
    };
    // The rules have their ids by now: made twice, the change is made once.
    const update = async () =>
      await this.handle.executeUpdate<PolicyRule[], [PolicyChange]>(names.changePolicy, { args: [argument] });
    return await acrossContinueAsNew(update);
  }

  /** Throws `MessageRefused` where the server has no room for another signal until the run continues as new. */
  private async tell(signal: string, argument: object): Promise<void> {
    try {
      await this.handle.signal(signal, argument);
    } catch (thrown) {
      throw refusedByServer(thrown) ?? thrown;
    }
  }

  private async withArguments(approval: PendingApproval): Promise<WaitingCall> {
    const { edited, uncertain, ...rest } = approval;
    const { workflowId, call } = rest;
    const { runId } = await this.client.workflow.getHandle(workflowId).describe();
    const transcript = await readTranscript(this.source(), { workflowId, runId });
    const { reply, index } = parseCallId(call);
    const text = callsOf(transcript.lastReply(reply))[index]?.arguments ?? '';
    const asked = JSON.parse(text.trim() === '' ? '{}' : text) as Json;
    const { input = asked } = edited === undefined ? {} : transcript.decision(edited);
    const since = new Date(approval.since);
    return { ...rest, since, arguments: input, ...(uncertain && { uncertain: shownUncertainty(uncertain) }) };
  }

  /**
   * Asks the run and those below it to stop: a model call under way is aborted. Returns before it has stopped. Who asked, and why,
   * is recorded, and stands in the failure of {@link result}.
   */
  async cancel(options: { by?: string; reason?: string } = {}): Promise<void> {
    const { connection, options: settings } = this.client;
    await connection.workflowService.requestCancelWorkflowExecution({
      namespace: settings.namespace,
      workflowExecution: { workflowId: this.workflowId },
      ...(this.runId !== undefined && { firstExecutionRunId: this.runId }),
      requestId: randomUUID(),
      identity: options.by ?? settings.identity,
      ...(options.reason !== undefined && { reason: options.reason }),
    });
  }

  /** The newest run of the chain that begins with this one; another run under the same id is not meant. */
  private async describe(): Promise<DescribedRun> {
    return await describeOrArchived(async () => await this.describeOnServer(), this, this.reading);
  }

  private async describeOnServer(): Promise<WorkflowExecutionDescription> {
    const newest = await this.handle.describe();
    const { runId, workflowId } = this;
    const first = newest.raw.workflowExecutionInfo?.firstRunId;
    if (runId === undefined || newest.runId === runId || first === runId) return newest;
    return await this.client.workflow.getHandle(workflowId, runId).describe();
  }

  /** Who asked the newest run of the chain to stop, and why. */
  private async cancelRequest(): Promise<{ by?: string; reason?: string } | undefined> {
    const { runId } = await this.describe();
    const records = new RecordReader(this.payloads());
    for await (const page of readReverse(this.source().source, { workflowId: this.workflowId, runId }, 16)) {
      for (const event of page) {
        const record = event.workflowExecutionCancelRequestedEventAttributes && (await records.read(event));
        if (record?.kind === 'cancel-requested') return record;
      }
    }
    return undefined;
  }

  /** The agent and input that the run was started with. */
  async startedWith(): Promise<AgentStart | undefined> {
    const { runId } = await this.describe();
    const records = new RecordReader(this.payloads());
    for await (const page of readForward(this.source().source, { workflowId: this.workflowId, runId })) {
      const first = page[0] && (await records.read(page[0]));
      return first?.kind === 'started' ? first.start : undefined;
    }
    return undefined;
  }

  /** Every request that the model answered so far, as it was sent: rebuilt from the history, without the agents' code. */
  async requests(): Promise<RebuiltRequest[]> {
    const { workflowId } = this;
    const { runId } = await this.describe();
    const requests: RebuiltRequest[] = [];
    const { source } = this.source();
    for (const each of await chainOf(source, workflowId, runId)) {
      const pages = readForward(source, { workflowId, runId: each });
      const some = await rebuildRequests(flatten(pages), this.payloads(), async (inheritance) =>
        readInheritance(this.source(), inheritance),
      );
      requests.push(...some);
    }
    return requests;
  }

  /**
   * Takes the run back to before a turn, by Temporal's Reset: the turn is asked anew, and what came after it is gone from the run. Returns the
   * handle of the run as it then is. A turn of before the last continue-as-new is out of reach; fork the run instead.
   *
   * Throws `EffectsWouldRepeat` where a `once` tool was started after it, and a `TypeError` for a turn that the run does not have.
   */
  async rewind(options: RewindOptions): Promise<RunHandle<Output>> {
    const { workflowId } = this;
    const { runId } = await this.describe();
    await rewindRun(this.client, this.source(), { workflowId, runId }, options);
    return new RunHandle(this.client, workflowId, undefined, this.reading);
  }

  /** The id of the newest run of the chain. @internal */
  async newest(): Promise<string> {
    return (await this.describe()).runId;
  }

  /** How this run, and others of its tree, are read. @internal */
  source(): TranscriptSource {
    return { source: historySource(this.client, this.reading), readerFor: (id) => this.payloads(id) };
  }

  private payloads(workflowId = this.workflowId): PayloadReader {
    return createPayloadReader(this.client.options.loadedDataConverter, {
      namespace: this.client.options.namespace,
      workflowId,
    });
  }
}

function describeCancel({ by, reason }: { by?: string; reason?: string }): string {
  return `the run was cancelled${by === undefined ? '' : ` by ${by}`}${reason === undefined ? '' : `: ${reason}`}`;
}

async function* flatten<T>(pages: AsyncIterable<readonly T[]>): AsyncGenerator<T, void, undefined> {
  for await (const page of pages) yield* page;
}
