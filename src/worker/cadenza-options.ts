import type { PayloadCodec } from '@temporalio/common';
import type { StreamSink } from '../activities/observe/live-text.ts';
import type { ModelProvider } from '../activities/models/model.ts';
import type { PriceTable } from '../activities/models/prices.ts';
import type { WorkerRule } from '../activities/turn/policy.ts';
import type { TenantBudgets } from '../activities/limits/tenant-budget.ts';
import type { TranscriptStoreOptions } from '../activities/history/transcript-store.ts';
import type { AgentSource } from '../agents/registry.ts';
import type { Redact } from '../redaction/redaction.ts';
import type { RedisSinkOptions } from '../live-text/redis-text.ts';
import type { ArchivedRun } from '../storage/archive-document.ts';
import type { StorageOptions } from '../storage/external-storage.ts';
import type { StoreLocation } from '../storage/open-store.ts';
import type { LiveServerOptions } from './live-server.ts';
import type { Tracing } from './tracing/create-tracing.ts';
import type { WatchdogOptions } from './watchdog/watchdog.ts';

/** The argument of `CadenzaPlugin`. */
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
   * own. Clients need it too. Default: `CADENZA_STORAGE`, and else none. A `dataConverter` with external storage of its own goes before it.
   */
  storage?: StoreLocation | StorageOptions;
  /**
   * Where runs are kept when they have closed, beyond Temporal's retention: a folder's path, `s3://bucket/prefix`, a store, or a function that
   * takes the archive. Default: `CADENZA_ARCHIVE`, and else nowhere.
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
  /** A worker that people stop and start as they work on its agents: a drain that is short is meant to be, and not warned of. Default `false`. */
  development?: boolean;
}

const names: Record<keyof CadenzaOptions, true> = {
  agents: true,
  provider: true,
  providers: true,
  prices: true,
  watchdog: true,
  policy: true,
  liveText: true,
  tracing: true,
  codec: true,
  secrets: true,
  storage: true,
  archive: true,
  redact: true,
  budgets: true,
  transcripts: true,
  development: true,
};

/** Cadenza's options among others, without those that are `undefined`, and the others. */
export function splitOptions<All extends CadenzaOptions>(
  options: All,
): { cadenza: CadenzaOptions; rest: Omit<All, keyof CadenzaOptions> } {
  const isOwn = ([name]: [string, unknown]) => name in names;
  const entries = Object.entries(options);
  return {
    cadenza: Object.fromEntries(
      entries.filter((entry) => isOwn(entry) && entry[1] !== undefined),
    ) as unknown as CadenzaOptions,
    rest: Object.fromEntries(entries.filter((entry) => !isOwn(entry))) as Omit<All, keyof CadenzaOptions>,
  };
}
