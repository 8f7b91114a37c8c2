import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SimplePlugin } from '@temporalio/plugin';
import type { BundleOptions, ReplayWorkerOptions, Worker, WorkerOptions } from '@temporalio/worker';
import { noWatch } from '../activities/activity-watch.ts';
import { Deployment, type PinnedVersion } from '../activities/deployment.ts';
import { createActivities } from '../activities/index.ts';
import { McpPool } from '../activities/mcp/pool.ts';
import type { ModelProvider } from '../activities/models/model.ts';
import { NamespaceFeatures } from '../activities/namespace-features.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { Providers } from '../activities/models/providers.ts';
import { defaultPrices, type PriceTable } from '../activities/models/prices.ts';
import { checkWorkerPolicy, type WorkerRule } from '../activities/policy.ts';
import {
  TranscriptStore,
  type TranscriptCounters,
  type TranscriptStoreOptions,
} from '../activities/transcript-store.ts';
import type { StreamSink } from '../activities/live-text.ts';
import { createRegistry, type AgentSource } from '../agents/registry.ts';
import { LiveServer, type LiveServerOptions } from './live-server.ts';
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
  /** Rules about tool calls for all agents of the worker; they go before what the tools say, and after those of a run unless they deny or are final. */
  policy?: readonly WorkerRule[];
  /**
   * Where the text of replies can be watched while it is written: a sink of one's own, or options of the worker's own server; `false`: nowhere.
   * Default: on this machine alone.
   */
  liveText?: StreamSink | LiveServerOptions | false;
  /** Spans for runs, turns, model calls and tool calls: what `createTracing` made. A bundle made beforehand needs a plugin with it, too. */
  tracing?: Tracing;
  /** How conversations are kept in memory and read from histories. */
  transcripts?: TranscriptStoreOptions;
}

function sinkOf(wanted: CadenzaOptions['liveText']): StreamSink | undefined {
  if (wanted === false) return undefined;
  return wanted && 'open' in wanted ? wanted : new LiveServer(wanted);
}

const here = import.meta.url;

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
  private watchdog: Watchdog | undefined;

  constructor(options: CadenzaOptions) {
    super({ name: 'cadenza' });
    this.cadenza = options;
    this.store = new TranscriptStore(options.transcripts);
    this.sink = sinkOf(options.liveText);
    // At once, and not when a run comes: a worker with faulty agents must not start.
    createRegistry(options.agents);
    checkWorkerPolicy(options.policy ?? []);
  }

  /** How often turns found their conversation in memory, and what was read otherwise. */
  get transcriptCounters(): Readonly<TranscriptCounters> {
    return this.store.counters;
  }

  override configureWorker(options: WorkerOptions): WorkerOptions {
    this.watchdog ??= this.cadenza.watchdog && new Watchdog(this.cadenza.watchdog);
    const { tracing } = this.cadenza;
    const providers = new Providers(this.cadenza.provider ?? openaiProvider(), this.cadenza.providers);
    const activities = createActivities({
      registry: createRegistry(this.cadenza.agents),
      providers,
      store: this.store,
      prices: { ...defaultPrices, ...this.cadenza.prices },
      watch: this.watchdog ?? noWatch,
      ...(tracing && { tracing: tracing.activities }),
      ...(this.sink && { sink: this.sink }),
      policy: this.cadenza.policy ?? [],
      deployment: new Deployment(pinnedVersion(options)),
      features: new NamespaceFeatures(),
      mcp: this.mcp,
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
      shutdownGraceTime: '10 minutes',
      // A dead worker must be noticed by its missing heartbeats within 15 seconds.
      maxHeartbeatThrottleInterval: '3 seconds',
      // What waits for a worker that is gone goes to another after this.
      stickyQueueScheduleToStartTimeout: '5 seconds',
      ...options,
      activities: { ...options.activities, ...activities },
      ...(tracing && {
        sinks: { ...options.sinks, ...tracing.sinks(providers.target().provider.name) },
        interceptors: {
          ...options.interceptors,
          activity: [...(options.interceptors?.activity ?? []), tracing.interceptor],
        },
      }),
      ...(!bundled && {
        workflowsPath: options.workflowsPath ?? modulePath('../workflows/no-user-workflows'),
      }),
    });
  }

  override async runWorker(worker: Worker, next: (worker: Worker) => Promise<void>): Promise<void> {
    try {
      await super.runWorker(worker, next);
    } finally {
      await this.watchdog?.stop();
      await this.sink?.close?.();
      await this.mcp.close();
      await this.cadenza.tracing?.shutdown();
    }
  }

  override configureReplayWorker(options: ReplayWorkerOptions): ReplayWorkerOptions {
    const bundled = options.workflowBundle !== undefined;
    const { tracing } = this.cadenza;
    return super.configureReplayWorker({
      ...options,
      // A replay tells of nothing, but its bundle asks for the sinks.
      ...(tracing && { sinks: { ...options.sinks, ...tracing.sinks('') } }),
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
      ...(this.cadenza.tracing ? [modulePath('../workflows/tracing')] : []),
    ];
    const userWorkflows = options.workflowsPath;
    return super.configureBundler({
      ...options,
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

/** A module of this package, as the source or the build of it that runs. */
function modulePath(name: string): string {
  const source = fileURLToPath(new URL(`${name}.ts`, here));
  return existsSync(source) ? source : fileURLToPath(new URL(`${name}.js`, here));
}
