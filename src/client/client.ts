import {
  Client,
  WorkflowExecutionAlreadyStartedError,
  type ClientInterceptors,
  type ClientOptions,
  type ConnectionLike,
  type ScheduleHandle,
  type WorkflowStartOptions,
} from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { agentStart, type RunOptions } from '../protocol/agent-start.ts';
import { chooseCodec, withChosenCodec } from '../codec/with-codec.ts';
import type { AgentInput, AgentOutput } from '../agents/define-agent.ts';
import { canonicalJson, toJson } from '../protocol/digest.ts';
import { failure } from '../protocol/failures.ts';
import { names, type AgentStart, type Features, type Json, type RunResult } from '../protocol/protocol.ts';
import { redactJson, type Redact } from '../redaction/redaction.ts';
import { Archive } from '../storage/archive.ts';
import { withEnvironment } from '../storage/environment.ts';
import { storageOptions, withStorage, type StorageOptions } from '../storage/external-storage.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { openStore, type StoreLocation } from '../storage/open-store.ts';
import { priorityOf } from './priority.ts';
import { summary } from '../protocol/summary.ts';
import type { HistoryArchive } from '../transcript/history-events.ts';
import { listWorkflows, memoField } from '../visibility/list-workflows.ts';
import { listed, type ListedRun } from './listed-run.ts';
import { archiveChain, type ArchivedCopy } from './archive.ts';
import { eraseTree, type EraseOptions, type EraseReport } from './erase.ts';
import { forkRun, type ForkOptions } from './fork.ts';
import { redacted, type Reading } from './reading.ts';
import { tenantUse, type TenantUse } from './tenant-use.ts';
import { isRedisUrl, type RedisTextOptions } from '../live-text/redis-text.ts';
import { RedisTextReader } from '../live-text/redis-text-reader.ts';
import { connect } from './connect.ts';
import { RunHandle } from './run-handle.ts';
import { scheduleRun, type ScheduleOptions } from './schedule.ts';
import { traceInterceptor } from './tracing.ts';
import { sendMessage, type SendOptions, type SentMessage } from './send.ts';

/** The argument of {@link createClient}. */
export interface CreateClientOptions extends Omit<ClientOptions, 'connection'> {
  /** Default: made from the environment and Temporal's profiles (`TEMPORAL_ADDRESS`, `TEMPORAL_PROFILE`, …). */
  connection?: ConnectionLike;
  /** Where the agents' workers listen. Default `cadenza`. */
  taskQueue?: string;
  /**
   * The Redis through which the workers let the text of replies be watched, so that `events({ text: true })` reads it there: the same as their
   * own `liveText`. It needs the package `@redis/client`. Default: `CADENZA_LIVE_TEXT_REDIS_URL`; without it, the workers are asked themselves.
   */
  liveText?: { redis: RedisTextOptions };
  /** Whether runs belong to the trace of OpenTelemetry's span that is active where they are started. Default `false`. */
  tracing?: boolean;
  /**
   * Encrypts what the client sends, and decrypts what it reads; workers need the same. Default: what the environment says
   * (`CADENZA_CODEC_KEYS_FILE`, …), and nothing where it says nothing; `false`: nothing.
   */
  codec?: PayloadCodec | false;
  /**
   * Where payloads that are too large for a history are stored: as the workers say. Default: `CADENZA_STORAGE`, and else none. A
   * `dataConverter` with external storage of its own goes before it.
   */
  storage?: StoreLocation | StorageOptions;
  /** Where runs are looked for that Temporal no longer has: as the workers say. Default: `CADENZA_ARCHIVE`, and else nowhere. */
  archive?: StoreLocation;
  /** Takes out of inputs and messages what must not be stored, before they leave this process: see `personalData`. Default: nothing. */
  redact?: Redact;
}

/** How a run is started. */
export interface StartOptions
  extends
    RunOptions,
    Pick<WorkflowStartOptions, 'memo' | 'priority' | 'typedSearchAttributes' | 'startDelay'> {
  /** The run's workflow id, which makes starting it again harmless. Default: the agent's name and a random part. */
  id?: string;
  taskQueue?: string;
}

/** What a start needs to know of an agent: its definition, or its name alone, when the worker does all the checking. */
export type AgentReference =
  { readonly kind: 'agent'; readonly name: string; readonly input?: z.ZodType } | string;

/** Which runs are listed. */
export interface ListOptions {
  query?: string;
  /** Also runs below others. Default `false`. */
  children?: boolean;
}

/** What a client works with besides Temporal's own. */
export interface ClientParts extends Reading {
  /** The archive where it can also be written. */
  store?: Archive;
  /** Where payloads are stored externally. */
  payloads?: ObjectStore;
}

type InputOf<A> = A extends string ? Json : AgentInput<A>;
type OutputOf<A> = A extends string ? Json : AgentOutput<A>;

/**
 * Starts agent runs and looks at them. Connect once per process.
 *
 * Throws what Temporal's `Connection.connect` throws when there is no server, and a `TypeError` for a `liveText`, `archive` or `storage` that is no address.
 */
export async function createClient(options: CreateClientOptions = {}): Promise<CadenzaClient> {
  const { connection, taskQueue = 'cadenza', tracing = false, codec, ...others } = withEnvironment(options);
  const { liveText = liveTextOfEnvironment(), redact, storage, archive, ...rest } = others;
  const interceptors = tracing ? await withTracing(rest.interceptors) : rest.interceptors;
  const { dataConverter } = rest;
  // One that is loaded already is Temporal's own way to say: exactly this.
  const loaded = dataConverter !== undefined && 'payloadConverter' in dataConverter;
  const coded = loaded ? dataConverter : withChosenCodec(chooseCodec(codec), dataConverter);
  const converter = loaded ? coded : withStorage(coded, storage);
  if (liveText && !isRedisUrl(liveText.redis.url))
    throw new TypeError('The address for live text must be of the form redis://host:6379 or rediss://…');
  // Whatever is wrong with these is said before there is a connection that nobody could close.
  const archives = archive === undefined ? undefined : openStore(archive);
  const payloads = storage === undefined ? undefined : openStore(storageOptions(storage).store);
  const environment = connection ? undefined : loadClientConnectConfig();
  const namespace = rest.namespace ?? environment?.namespace;
  const own = connection ? undefined : await connect(environment?.connectionOptions);
  const client = new Client({
    ...rest,
    ...(interceptors && { interceptors }),
    ...(converter && { dataConverter: converter }),
    connection: connection ?? (own as ConnectionLike),
    ...(namespace !== undefined && { namespace }),
  });
  const texts = liveText && new RedisTextReader(liveText.redis);
  const kept = archives && new Archive(archives, client.options.namespace);
  const close = async () => {
    await texts?.close();
    await own?.close();
  };
  return new CadenzaClient(client, taskQueue, close, {
    ...(kept && { archive: kept, store: kept }),
    ...(payloads && { payloads }),
    ...(redact && { redact }),
    ...(texts && { texts }),
  });
}

function liveTextOfEnvironment(): CreateClientOptions['liveText'] {
  const { CADENZA_LIVE_TEXT_REDIS_URL: url } = process.env;
  return url ? { redis: { url } } : undefined;
}

async function withTracing(interceptors: ClientOptions['interceptors']): Promise<ClientInterceptors> {
  const { workflow = [], ...others } = interceptors ?? {};
  if (!Array.isArray(workflow)) throw new TypeError('With tracing, interceptors.workflow must be a list');
  return { ...others, workflow: [...workflow, await traceInterceptor()] };
}

/** Made by {@link createClient}. */
export class CadenzaClient {
  /** Temporal's own client, for everything that is not about agents. */
  readonly temporal: Client;
  /** Where runs are started, unless a start names another one. */
  readonly taskQueue: string;
  private readonly closeOwn: () => Promise<void>;
  private readonly parts: ClientParts;

  constructor(temporal: Client, taskQueue: string, close: () => Promise<void>, parts: ClientParts = {}) {
    this.temporal = temporal;
    this.parts = parts;
    this.taskQueue = taskQueue;
    this.closeOwn = close;
  }

  /**
   * Starts a run and returns its handle without waiting for it.
   *
   * With an `id` that another run has, it returns that run if agent, input and attachments are equal, and otherwise fails as `RunIdInUse`; a
   * run that failed is started again. Throws a `TypeError` for an input that does not fit the agent's schema.
   */
  async start<A extends AgentReference>(
    agent: A,
    input: InputOf<A>,
    options: StartOptions = {},
  ): Promise<RunHandle<OutputOf<A>>> {
    const name = typeof agent === 'string' ? agent : agent.name;
    await checkInput(agent, input);
    const {
      id = `${name}-${randomUUID().slice(0, 8)}`,
      limits: _limits,
      policy: _policy,
      tenant: _tenant,
      concurrency: _concurrency,
      attachments: _attachments,
      taskQueue = this.taskQueue,
      ...rest
    } = options;
    const priority = priorityOf(options);
    const said = await this.redactedInput(name, toJson(input));
    const start: AgentStart = { ...agentStart(name, said, options), ...this.told };
    try {
      const handle = await this.temporal.workflow.start(names.workflow, {
        ...rest,
        ...(priority && { priority }),
        memo: { agent: name, ...rest.memo },
        workflowId: id,
        taskQueue,
        args: [start],
        workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
        staticSummary: summary(name, start.input),
      });
      return this.handle(id, handle.firstExecutionRunId);
    } catch (thrown) {
      if (!(thrown instanceof WorkflowExecutionAlreadyStartedError)) throw thrown;
      return await this.existing(id, start);
    }
  }

  /** Starts a run and waits for its result. Throws what {@link RunHandle.result} throws. */
  async run<A extends AgentReference>(
    agent: A,
    input: InputOf<A>,
    options: StartOptions = {},
  ): Promise<RunResult<OutputOf<A>>> {
    const handle = await this.start(agent, input, options);
    return await handle.result();
  }

  /**
   * Says something in a conversation, in one call: the first message under a `conversationId` begins it, with an agent that takes text. Returns
   * when the run has the message; its answer can be awaited. Sending a message again under its `messageId` does nothing.
   *
   * Throws `ConversationClosed` for a conversation that has ended, `MessageRefused` for one with another agent, a text that is empty or too
   * long, or too many messages that wait.
   */
  async send(
    agent: { readonly kind: 'agent'; readonly name: string } | string,
    conversationId: string,
    text: string,
    options: SendOptions = {},
  ): Promise<SentMessage> {
    const name = typeof agent === 'string' ? agent : agent.name;
    const { taskQueue = this.taskQueue } = options;
    const said = await redacted(text, this.parts, name);
    const how = { ...options, taskQueue, ...this.told };
    const sent = await sendMessage(this.temporal, name, conversationId, said, how);
    const run = this.handle(conversationId);
    return { ...sent, reply: async (waiting) => await run.replyTo(sent.messageId, waiting) };
  }

  /**
   * Runs an agent at set times, through a schedule of Temporal's, and returns its handle: to pause, trigger, change or delete it.
   *
   * Throws a `TypeError` for an input that does not fit the agent's schema or a schedule without times, and Temporal's
   * `ScheduleAlreadyRunning` where there is one of that id.
   */
  async schedule<A extends AgentReference>(
    agent: A,
    input: InputOf<A>,
    options: ScheduleOptions,
  ): Promise<ScheduleHandle> {
    await checkInput(agent, input);
    const { taskQueue = this.taskQueue } = options;
    const name = typeof agent === 'string' ? agent : agent.name;
    const said = await this.redactedInput(name, toJson(input));
    return await scheduleRun(this.temporal, name, said, { ...options, taskQueue, ...this.told });
  }

  /**
   * Starts a new run from any turn of another, open or closed: the conversation goes along by value, calls without a result are answered as not
   * executed. Needs no worker of the old run.
   *
   * Throws a `TypeError` for a turn that the run does not have, and where nothing is left to answer; `TranscriptGone` where its history is.
   */
  async fork<Output = Json>(id: string, options: ForkOptions = {}): Promise<RunHandle<Output>> {
    const { taskQueue = this.taskQueue } = options;
    const handle = this.handle(id);
    const source = { ...handle.source(), newest: async () => await handle.newest() };
    const { message, input } = options;
    const { redact } = this.parts;
    const said = {
      ...(message !== undefined && { message: await redacted(message, this.parts) }),
      ...(redact && input !== undefined && { input: await redactJson(input, redact, { kind: 'input' }) }),
    };
    const forked = await forkRun(this.temporal, source, id, { ...options, ...said, taskQueue, ...this.told });
    return this.handle(forked);
  }

  /** The handle of a run that exists. Without a `runId` it means the latest run under the id. */
  get<Output = Json>(id: string, runId?: string): RunHandle<Output> {
    return this.handle(id, runId);
  }

  /**
   * Runs, the newest first: by default those that no other run started. Temporal's visibility store may be some seconds late.
   * `query` is a further condition in its own language, such as `ExecutionStatus = "Running"`.
   */
  async *list({ query, children = false }: ListOptions = {}): AsyncGenerator<ListedRun, void, undefined> {
    const conditions = [`WorkflowType = "${names.workflow}"`, ...(query === undefined ? [] : [`(${query})`])];
    const { workflow } = this.temporal;
    for await (const info of listWorkflows(workflow, conditions.join(' AND '))) {
      if (info.parentExecution && !children) continue;
      const agent = await memoField(workflow, info, 'agent');
      yield { ...listed(info), ...(typeof agent === 'string' && { agent }) };
    }
  }

  /** The same client, which looks at runs in that archive alone and asks no server. */
  reading(archive: HistoryArchive): CadenzaClient {
    return new CadenzaClient(this.temporal, this.taskQueue, this.closeOwn, {
      ...this.parts,
      archive,
      archiveOnly: true,
    });
  }

  /** Whether the client has an archive that it can write to. */
  get hasArchive(): boolean {
    return this.parts.store !== undefined;
  }

  /**
   * Archives the closed runs of a chain that the workers did not archive: ended from outside, or from before there was an archive. Returns
   * where they are; a run that is open is left out. Throws a `TypeError` where the client has no archive.
   */
  async archive(id: string): Promise<ArchivedCopy[]> {
    const { store } = this.parts;
    if (!store) throw new TypeError('The client has no archive: give createClient the `archive` option');
    return await archiveChain(this.temporal, store, id);
  }

  /**
   * Deletes a tree of runs, by the id of its root: from Temporal, from the archive and from the external storage that this client knows, and says
   * what it could not reach. It can be done again where it was cut short. Throws a `TypeError` for a run below another one, and for an open one
   * without `open`.
   */
  async erase(id: string, options: EraseOptions = {}): Promise<EraseReport> {
    const { source } = this.handle(id).source();
    const { store: archive, payloads } = this.parts;
    return await eraseTree({ client: this.temporal, source, archive, payloads }, id, options);
  }

  /** What a tenant has used on a day of UTC (`2026-11-25`), today by default. It needs a worker. */
  async tenantUse(tenant: string, day?: string): Promise<TenantUse> {
    return await tenantUse(this.temporal, tenant, day);
  }

  /** Closes the connection to Temporal, if {@link createClient} made it, and that to Redis. */
  async close(): Promise<void> {
    await this.closeOwn();
  }

  /** A run that ends before its first reply cannot know it from the worker. */
  private get told(): { features?: Features } {
    return this.parts.archive ? { features: { archive: true } } : {};
  }

  private async redactedInput(agent: string, input: Json): Promise<Json> {
    const { redact } = this.parts;
    return redact ? await redactJson(input, redact, { kind: 'input', agent }) : input;
  }

  private handle<Output>(id: string, runId?: string): RunHandle<Output> {
    return new RunHandle(this.temporal, id, runId, this.parts);
  }

  private async existing<Output>(id: string, start: AgentStart): Promise<RunHandle<Output>> {
    const handle = this.handle<Output>(id);
    const running = await handle.startedWith();
    const same =
      running?.agent === start.agent && canonicalJson(asked(running)) === canonicalJson(asked(start));
    if (same) return handle;
    throw failure(
      'RunIdInUse',
      `another run has the id "${id}", with ${running?.agent === start.agent ? 'another input' : `agent "${running?.agent}"`}; choose an id of its own`,
    );
  }
}

async function checkInput(agent: AgentReference, input: unknown): Promise<void> {
  if (typeof agent === 'string') return;
  const parsed = await (agent.input ?? z.string()).safeParseAsync(input);
  if (!parsed.success) {
    throw new TypeError(
      `The input does not fit the schema of agent "${agent.name}":\n${z.prettifyError(parsed.error)}`,
    );
  }
}

/** What a run is asked. */
function asked({ input = null, attachments = [] }: AgentStart): Json {
  return { input, attachments: attachments as unknown as Json };
}
