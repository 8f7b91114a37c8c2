import { SimplePlugin } from '@temporalio/plugin';
import {
  Runtime,
  type BundleOptions,
  type ReplayWorkerOptions,
  type Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import type { ArchiveTarget } from '../activities/dependencies.ts';
import { noWatch } from '../activities/observe/activity-watch.ts';
import { Deployment, type PinnedVersion } from '../activities/deployment.ts';
import { createActivities } from '../activities/index.ts';
import { ProviderShares } from '../activities/limits/shares.ts';
import { McpPool } from '../activities/mcp/pool.ts';
import { ActivityMetrics } from '../activities/observe/metrics.ts';
import { NamespaceFeatures } from '../activities/namespace-features.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { Providers } from '../activities/models/providers.ts';
import { defaultPrices } from '../activities/models/prices.ts';
import { checkWorkerPolicy, withUndeclared } from '../activities/turn/policy.ts';
import { Redactor, secretsOf, serverSecrets } from '../activities/redaction/secrets.ts';
import { TranscriptStore, type TranscriptCounters } from '../activities/history/transcript-store.ts';
import type { EncryptionCodec } from '../codec/encryption-codec.ts';
import { chooseCodec, withChosenCodec, type ChosenCodec } from '../codec/with-codec.ts';
import type { StreamSink } from '../activities/observe/live-text.ts';
import { createRegistry, type Registry } from '../agents/registry.ts';
import { Archive } from '../storage/archive.ts';
import { withStorage } from '../storage/external-storage.ts';
import { openStore } from '../storage/open-store.ts';
import { withEnvironment } from '../storage/environment.ts';
import { bundlerOptions, modulePath, noUserWorkflows, type BundleKind } from './bundling.ts';
import type { CadenzaOptions } from './cadenza-options.ts';
import { startLimiterWorker, type LimiterWorker, type LimiterWorkerOptions } from './limiter-worker.ts';
import { LiveServer } from './live-server.ts';
import { RedisTextSink } from '../live-text/redis-text-sink.ts';
import { shippedBundles } from './shipped-bundles.ts';
import { activityLogAttributes } from './operations/activity-log-attributes.ts';
import { drainMs, warnOfShortDrain } from './operations/drain.ts';
import { Watchdog } from './watchdog/watchdog.ts';

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
    this.cadenza = withEnvironment(options);
    this.store = new TranscriptStore({
      ...options.transcripts,
      onRead: (how) => {
        this.metrics?.transcript(how);
        options.transcripts?.onRead?.(how);
      },
    });
    this.sink = sinkOf(options.liveText);
    this.codec = chooseCodec(options.codec);
    const { archive } = this.cadenza;
    this.archive = archive === undefined ? undefined : archiveTo(archive);
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
    const registry = createRegistry(this.cadenza.agents);
    if (!this.cadenza.development) warnOfShortDrain(registry, options.shutdownGraceTime);
    const { tracing } = this.cadenza;
    const providers = new Providers(this.cadenza.provider ?? openaiProvider(), this.cadenza.providers);
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
    const activities = this.activities(options, registry, providers);
    const taken = Object.keys(activities).filter((name) => name in (options.activities ?? {}));
    if (taken.length > 0) {
      throw new TypeError(
        `The worker has activities named ${taken.join(', ')}, as Cadenza's own are; rename yours.`,
      );
    }
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
      ...this.workflowCode({ ...options, ...(dataConverter && { dataConverter }) }),
    });
  }

  private activities(options: WorkerOptions, registry: Registry, providers: Providers) {
    const { tracing, budgets, redact, prices, policy } = this.cadenza;
    this.metrics ??= new ActivityMetrics(Runtime.instance().metricMeter);
    this.watchdog ??= this.cadenza.watchdog && new Watchdog(this.cadenza.watchdog);
    this.shares = new ProviderShares(
      providers,
      options.maxConcurrentActivityTaskExecutions ?? defaultActivitySlots,
    );
    return createActivities({
      registry,
      providers,
      shares: this.shares,
      store: this.store,
      prices: { ...defaultPrices, ...prices },
      metrics: this.metrics,
      watch: this.watchdog ?? noWatch,
      ...(tracing && { tracing: tracing.activities }),
      ...(this.sink && { sink: this.sink }),
      policy: withUndeclared(policy),
      deployment: new Deployment(pinnedVersion(options)),
      features: new NamespaceFeatures(),
      ...(this.archive && { archive: this.archive }),
      ...(budgets && { budgets }),
      ...(redact && { redact }),
      mcp: this.mcp,
      redactor: this.redactor,
    });
  }

  /** What a worker that is given no bundle takes its workflows from. */
  private workflowCode(
    options: WorkerOptions | ReplayWorkerOptions,
  ): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath' | 'buildId'> {
    if (options.workflowBundle !== undefined) return {};
    const shipped = shippedBundles.forAgents(options, this.bundleKind, this);
    if (!shipped) return { workflowsPath: options.workflowsPath ?? modulePath(noUserWorkflows) };
    const { codePath, buildId } = shipped;
    const named = options.buildId !== undefined || options.workerDeploymentOptions !== undefined;
    return { workflowBundle: { codePath }, ...(!named && { buildId }) };
  }

  override async runWorker(worker: Worker, next: (worker: Worker) => Promise<void>): Promise<void> {
    let limiter: LimiterWorker | undefined;
    try {
      if (this.shares?.any) limiter = await startLimiterWorker(this.beside);
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
    const { tracing } = this.cadenza;
    const { codec, encrypts } = this.codec;
    // A history that was downloaded is replayed under other names.
    const unbound = 'unbound' in codec ? (codec as EncryptionCodec).unbound : codec;
    const dataConverter = withStorage(
      withChosenCodec({ codec: unbound, encrypts }, options.dataConverter),
      this.cadenza.storage,
    );
    return super.configureReplayWorker({
      ...options,
      // A replay tells of nothing, but its bundle asks for the sinks.
      ...(tracing && { sinks: { ...options.sinks, ...tracing.sinks('') } }),
      ...(dataConverter && { dataConverter }),
      ...this.workflowCode({ ...options, ...(dataConverter && { dataConverter }) }),
    });
  }

  override configureBundler(options: BundleOptions): BundleOptions {
    return super.configureBundler(bundlerOptions(options, this.bundleKind));
  }

  private get bundleKind(): BundleKind {
    return { encrypts: this.codec.encrypts, traces: this.cadenza.tracing !== undefined };
  }
}

/** The version that runs of a worker are pinned to; `undefined` where they go with the current one by themselves. */
function pinnedVersion({ workerDeploymentOptions: versioned }: WorkerOptions): PinnedVersion | undefined {
  const pinned = versioned?.useWorkerVersioning && versioned.defaultVersioningBehavior === 'PINNED';
  return pinned ? versioned.version : undefined;
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
