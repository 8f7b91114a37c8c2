import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SimplePlugin } from '@temporalio/plugin';
import type { PayloadCodec } from '@temporalio/common';
import {
  Runtime,
  type BundleOptions,
  type ReplayWorkerOptions,
  type Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import type { ArchiveTarget } from '../activities/dependencies.ts';
import { noWatch } from '../activities/activity-watch.ts';
import { Deployment, type PinnedVersion } from '../activities/deployment.ts';
import { createActivities } from '../activities/index.ts';
import { ProviderShares } from '../activities/limits/shares.ts';
import { McpPool } from '../activities/mcp/pool.ts';
import { ActivityMetrics } from '../activities/metrics.ts';
import type { ModelProvider } from '../activities/models/model.ts';
import { NamespaceFeatures } from '../activities/namespace-features.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { Providers } from '../activities/models/providers.ts';
import { defaultPrices, type PriceTable } from '../activities/models/prices.ts';
import { checkWorkerPolicy, withUndeclared, type WorkerRule } from '../activities/policy.ts';
import { Redactor, secretsOf, serverSecrets } from '../activities/secrets.ts';
import {
  TranscriptStore,
  type TranscriptCounters,
  type TranscriptStoreOptions,
} from '../activities/transcript-store.ts';
import type { TenantBudgets } from '../activities/tenant-budget.ts';
import type { EncryptionCodec } from '../codec/encryption-codec.ts';
import { chooseCodec, failureConverterPath, withChosenCodec, type ChosenCodec } from '../codec/with-codec.ts';
import type { StreamSink } from '../activities/live-text.ts';
import type { RedisSinkOptions } from '../redis-text.ts';
import { createRegistry, type AgentSource } from '../agents/registry.ts';
import type { Redact } from '../redaction.ts';
import { Archive } from '../storage/archive.ts';
import type { ArchivedRun } from '../storage/archive-document.ts';
import { withStorage, type StorageOptions } from '../storage/external-storage.ts';
import { openStore, type StoreLocation } from '../storage/open-store.ts';
import { startLimiterWorker, type LimiterWorkerOptions } from './limiter-worker.ts';
import { LiveServer, type LiveServerOptions } from './live-server.ts';
import { RedisTextSink } from './redis-text-sink.ts';
import { activityLogAttributes } from './operations/activity-log-attributes.ts';
import { drainMs, warnOfShortDrain } from './operations/drain.ts';
import type { Tracing } from './tracing/create-tracing.ts';
import { Watchdog, type WatchdogOptions } from './watchdog/watchdog.ts';

/** The argument of {@link CadenzaPlugin}. */
export interface CadenzaOptions {
  /** The agents: a module whose exports hold them (`import * as agents`), a list of agents, or a list of modules. */
  agents: AgentSource;
  /** Where models are asked. Default: OpenAI's protocol, configured by `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_MODEL`. */
  provider?: ModelProvider;
  /** Further providers, by the names under which agents ask for them: `model: 'local:llama3:8b'`. */
  providers?: Readonly<Record<string, ModelProvider>>;
  /** Prices besides, or instead of, the known ones: US dollars for a million tokens, by model name. */
  prices?: PriceTable;
  /**
   * Keeps the other activities of the worker alive when a tool blocks the event loop, and fails that tool by name. `createWorker`
   * sets it up by itself where it makes the connection.
   */
  watchdog?: WatchdogOptions;
  /**
   * Rules about tool calls for all agents of the worker; they go before what the tools say, and after those of a run unless they deny or are final.
   * Behind them stands one by which a person is asked about the calls of tools that say neither `effect` nor `needsApproval`; a rule with
   * the id `undeclared` takes its place: `{ id: 'undeclared', undeclared: true, verdict: 'allow' }`.
   */
  policy?: readonly WorkerRule[];
  /**
   * Where the text of replies can be watched while it is written: a Redis, for which `@redis/client` must be installed; a sink of one's own; or
   * options of the worker's own server. `false`: nowhere. Default: the worker's own server, on this machine alone.
   */
  liveText?: StreamSink | LiveServerOptions | { redis: RedisSinkOptions } | false;
  /** Spans for runs, turns, model calls and tool calls: what `createTracing` made. A bundle made beforehand needs a plugin with it, too. */
  tracing?: Tracing;
  /**
   * Encrypts what the worker stores, and decrypts what it reads; clients need the same. Default: what the environment says
   * (`CADENZA_CODEC_KEYS_FILE`, …), and nothing where it says nothing; `false`: nothing.
   */
  codec?: PayloadCodec | false;
  /**
   * Values that must not be recorded, besides those that are known for secrets: the environment's variables whose names say so, headers and variables
   * of MCP servers. They are replaced in failures and in what tools return. Shorter ones than 12 characters are left aside.
   */
  secrets?: readonly string[];
  /**
   * Where payloads that are too large for a history are stored: a folder's path, `s3://bucket/prefix?region=…&endpoint=…`, or a store of one's
   * own. Clients need it too. Default: none. A `dataConverter` with external storage of its own goes before it.
   */
  storage?: StoreLocation | StorageOptions;
  /**
   * Where runs are kept when they have closed, beyond Temporal's retention: a folder's path, `s3://bucket/prefix`, a store, or a function that
   * takes the archive. Default: nowhere.
   */
  archive?: StoreLocation | ((run: ArchivedRun) => Promise<void>);
  /**
   * Takes out of the model's replies and of what tools return what must not be stored, before it is: see `personalData`. The model reads it without it
   * too, as it reads the history. Default: nothing.
   */
  redact?: Redact;
  /**
   * What each tenant may use in a day of UTC, by the `tenant` of its runs; `'*'` stands for those not named. All workers must say the same.
   * Default: nothing is counted.
   */
  budgets?: TenantBudgets;
  /** How conversations are kept in memory and read from histories. */
  transcripts?: TranscriptStoreOptions;
}

function archiveTo(wanted: NonNullable<CadenzaOptions['archive']>): ArchiveTarget {
  if (typeof wanted === 'function') {
    return async (run) => {
      await wanted(run);
      return { key: '', bytes: 0 };
    };
  }
  const store = openStore(wanted);
  return async (run) => await new Archive(store, run.header.namespace).write(run);
}

function sinkOf(wanted: CadenzaOptions['liveText']): StreamSink | undefined {
  if (wanted === false) return undefined;
  if (wanted && 'redis' in wanted) return new RedisTextSink(wanted.redis);
  return wanted && 'open' in wanted ? wanted : new LiveServer(wanted);
}

const here = import.meta.url;
/** The SDK's own. */
const defaultActivitySlots = 100;

/**
 * Adds Cadenza to a worker: `Worker.create({ …, plugins: [new CadenzaPlugin({ agents })] })`. The worker keeps its own
 * workflows and activities. Also to be given to `bundleWorkflowCode` where the bundle is built beforehand.
 *
 * Throws a `TypeError` that lists everything wrong with the agents.
 */
export class CadenzaPlugin extends SimplePlugin {
  private readonly cadenza: CadenzaOptions;
  private readonly store: TranscriptStore;
  private readonly sink: StreamSink | undefined;
  private readonly mcp = new McpPool();
  private readonly codec: ChosenCodec;
  /** Takes known secrets out of texts. */
  private readonly redactor: Redactor;
  private readonly archive: ArchiveTarget | undefined;
  private shares: ProviderShares | undefined;
  private beside: LimiterWorkerOptions = {};
  private watchdog: Watchdog | undefined;
  private metrics: ActivityMetrics | undefined;

  constructor(options: CadenzaOptions) {
    super({ name: 'cadenza' });
    this.cadenza = options;
    this.store = new TranscriptStore({
      ...options.transcripts,
      onRead: (how) => {
        this.metrics?.transcript(how);
        options.transcripts?.onRead?.(how);
      },
    });
    this.sink = sinkOf(options.liveText);
    this.codec = chooseCodec(options.codec);
    this.archive = options.archive === undefined ? undefined : archiveTo(options.archive);
    // At once, and not when a run comes: a worker with faulty agents must not start.
    const registry = createRegistry(options.agents);
    this.redactor = new Redactor([
      ...(options.secrets ?? []),
      ...secretsOf(process.env),
      ...serverSecrets(registry.names.flatMap((name) => registry.get(name) ?? [])),
    ]);
    checkWorkerPolicy(options.policy ?? []);
  }

  /** How often turns found their conversation in memory, and what was read otherwise. */
  get transcriptCounters(): Readonly<TranscriptCounters> {
    return this.store.counters;
  }

  override configureWorker(options: WorkerOptions): WorkerOptions {
    this.watchdog ??= this.cadenza.watchdog && new Watchdog(this.cadenza.watchdog);
    this.metrics ??= new ActivityMetrics(Runtime.instance().metricMeter);
    const registry = createRegistry(this.cadenza.agents);
    warnOfShortDrain(registry, options.shutdownGraceTime);
    const { tracing } = this.cadenza;
    const providers = new Providers(this.cadenza.provider ?? openaiProvider(), this.cadenza.providers);
    this.shares = new ProviderShares(
      providers,
      options.maxConcurrentActivityTaskExecutions ?? defaultActivitySlots,
    );
    const dataConverter = withStorage(
      withChosenCodec(this.codec, options.dataConverter),
      this.cadenza.storage,
    );
    const { connection, namespace, identity } = options;
    this.beside = {
      ...(connection && { connection }),
      ...(namespace !== undefined && { namespace }),
      ...(dataConverter && { dataConverter }),
      ...(identity !== undefined && { identity }),
    };
    const activities = createActivities({
      registry,
      providers,
      shares: this.shares,
      store: this.store,
      prices: { ...defaultPrices, ...this.cadenza.prices },
      metrics: this.metrics,
      watch: this.watchdog ?? noWatch,
      ...(tracing && { tracing: tracing.activities }),
      ...(this.sink && { sink: this.sink }),
      policy: withUndeclared(this.cadenza.policy),
      deployment: new Deployment(pinnedVersion(options)),
      features: new NamespaceFeatures(),
      ...(this.archive && { archive: this.archive }),
      ...(this.cadenza.budgets && { budgets: this.cadenza.budgets }),
      ...(this.cadenza.redact && { redact: this.cadenza.redact }),
      mcp: this.mcp,
      redactor: this.redactor,
    });
    const taken = Object.keys(activities).filter((name) => name in (options.activities ?? {}));
    if (taken.length > 0) {
      throw new TypeError(
        `The worker has activities named ${taken.join(', ')}, as Cadenza's own are; rename yours.`,
      );
    }
    const bundled = options.workflowBundle !== undefined;
    return super.configureWorker({
      // A stopping worker lets model calls finish that are already paid for.
      shutdownGraceTime: drainMs(registry),
      // A dead worker must be noticed by its missing heartbeats within 15 seconds.
      maxHeartbeatThrottleInterval: '3 seconds',
      // What waits for a worker that is gone goes to another after this.
      stickyQueueScheduleToStartTimeout: '5 seconds',
      ...options,
      interceptors: {
        ...options.interceptors,
        activity: [
          ...(options.interceptors?.activity ?? []),
          activityLogAttributes,
          ...(tracing ? [tracing.interceptor] : []),
        ],
      },
      ...(dataConverter && { dataConverter }),
      activities: { ...options.activities, ...activities },
      ...(tracing && {
        sinks: { ...options.sinks, ...tracing.sinks(providers.target().provider.name) },
      }),
      ...(!bundled && {
        workflowsPath: options.workflowsPath ?? modulePath('../workflows/no-user-workflows'),
      }),
    });
  }

  override async runWorker(worker: Worker, next: (worker: Worker) => Promise<void>): Promise<void> {
    const limiter = this.shares?.any ? await startLimiterWorker(this.beside) : undefined;
    try {
      const running = super.runWorker(worker, next);
      await (limiter ? Promise.race([running, stopped(limiter.failed, worker, running)]) : running);
    } finally {
      await this.watchdog?.stop();
      await this.sink?.close?.();
      await this.mcp.close();
      await this.shares?.close();
      await limiter?.stop();
      await this.cadenza.tracing?.shutdown();
    }
  }

  override configureReplayWorker(options: ReplayWorkerOptions): ReplayWorkerOptions {
    const bundled = options.workflowBundle !== undefined;
    const { tracing } = this.cadenza;
    const { codec, encrypts } = this.codec;
    // A history that was downloaded is replayed under other names.
    const unbound = 'unbound' in codec ? (codec as EncryptionCodec).unbound : codec;
    return super.configureReplayWorker({
      ...options,
      // A replay tells of nothing, but its bundle asks for the sinks.
      ...(tracing && { sinks: { ...options.sinks, ...tracing.sinks('') } }),
      dataConverter: withChosenCodec({ codec: unbound, encrypts }, options.dataConverter),
      ...(!bundled && {
        workflowsPath: options.workflowsPath ?? modulePath('../workflows/no-user-workflows'),
      }),
    });
  }

  /** Puts the agent workflow beside the user's own, and makes `cadenza/workflow` the very same module in both. */
  override configureBundler(options: BundleOptions): BundleOptions {
    const entry = modulePath('../workflows/entry');
    if (options.workflowsPath === entry) return super.configureBundler(options);
    const workflowInterceptorModules = [
      ...(options.workflowInterceptorModules ?? []),
      modulePath('../workflows/log-attributes'),
      ...(this.cadenza.tracing ? [modulePath('../workflows/tracing')] : []),
    ];
    const userWorkflows = options.workflowsPath;
    return super.configureBundler({
      ...(this.codec.encrypts && { failureConverterPath }),
      ...definedOf(options),
      workflowInterceptorModules,
      workflowsPath: entry,
      webpackConfigHook: (config) => {
        const hooked = options.webpackConfigHook?.(config) ?? config;
        const alias = {
          ...(hooked.resolve?.alias as Record<string, string> | undefined),
          'cadenza-user-workflows$': userWorkflows,
          'cadenza/workflow$': modulePath('../workflows/index'),
        };
        // Line numbers in stack traces need the map, not a second copy of every source in it: 0.5 MB for each worker to load.
        const devtool =
          hooked.devtool === 'inline-source-map' ? 'inline-nosources-source-map' : hooked.devtool;
        return {
          ...hooked,
          ...(devtool !== undefined && { devtool }),
          resolve: { ...hooked.resolve, alias },
        };
      },
    });
  }
}

/** The version that runs of a worker are pinned to; `undefined` where they go with the current one by themselves. */
function pinnedVersion({ workerDeploymentOptions: versioned }: WorkerOptions): PinnedVersion | undefined {
  const pinned = versioned?.useWorkerVersioning && versioned.defaultVersioningBehavior === 'PINNED';
  return pinned ? versioned.version : undefined;
}

/** The options that are given: a worker passes on what it has not got as `undefined`. */
function definedOf(options: BundleOptions): BundleOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as BundleOptions;
}

/** A module of this package, as the source or the build of it that runs. */
function modulePath(name: string): string {
  const source = fileURLToPath(new URL(`${name}.ts`, here));
  return existsSync(source) ? source : fileURLToPath(new URL(`${name}.js`, here));
}

/** A worker whose limits nobody could divide any more stops, with the reason. */
async function stopped(failed: Promise<never>, worker: Worker, running: Promise<void>): Promise<never> {
  try {
    return await failed;
  } catch (thrown) {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    await running;
    throw thrown;
  }
}
