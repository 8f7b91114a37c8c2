import { randomUUID } from 'node:crypto';
import type { DataConverter } from '@temporalio/common';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { codecFromEnvironment, withCodec } from 'cadenza/codec';
import {
  CadenzaPlugin,
  openaiProvider,
  type CadenzaOptions,
  type ModelProvider,
  type ProviderLimits,
} from 'cadenza/worker';
import { CadenzaClient } from 'cadenza/client';
import {
  createModelServer,
  type ModelServer,
  type ModelServerOptions,
} from '../../src/testing/model-server.ts';
import { connectToTemporal, type TemporalForTests } from './temporal.ts';
import { sharedBundle } from './shared-bundle.ts';

/** What a test says of its worker and its model. */
export interface HarnessOptions extends Omit<CadenzaOptions, 'provider'> {
  respond: ModelServerOptions['respond'];
  /** Asked instead of the model server. */
  provider?: ModelProvider;
  latencyMs?: number;
  /** Whether replies are streamed. Default `false`: the bytes of requests are compared. */
  stream?: boolean;
  /** Milliseconds for which a streamed reply may stand still. Default 300. */
  streamIdle?: number;
  /** How the model server is asked. Default: Chat Completions. */
  api?: 'chat' | 'responses';
  /** What all workers together may ask of the model server. Default: no limits. */
  limits?: ProviderLimits;
  dataConverter?: DataConverter;
  /** A workflow file beside the agent workflow. */
  workflows?: URL;
  /** Further options of the worker. */
  worker?: Partial<WorkerOptions>;
  /** Shared with another harness, to have two workers on one queue. */
  taskQueue?: string;
  server?: ModelServer;
  /** Another server than that of the test run, such as `await connectToSoon()` for `fillHistory`. */
  temporal?: TemporalForTests;
}

/** A worker, a model server and a client on a task queue of their own. */
export interface Harness {
  client: CadenzaClient;
  plugin: CadenzaPlugin;
  server: ModelServer;
  taskQueue: string;
  worker: Worker;
  /** Stops the worker and, unless it came from elsewhere, the model server. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a harness. Use it as `await using harness = await startHarness({ … })`. */
export async function startHarness(options: HarnessOptions): Promise<Harness> {
  const {
    respond,
    latencyMs,
    api: _api,
    stream: _stream,
    streamIdle: _idle,
    limits: _limits,
    dataConverter,
    workflows,
    worker: workerOptions,
    temporal: _other,
    ...cadenza
  } = options;
  // With keys in the environment, any test runs encrypted.
  const codec = cadenza.codec ?? codecFromEnvironment() ?? false;
  const temporal = options.temporal ?? (await connectToTemporal());
  const server =
    options.server ?? (await createModelServer({ respond, ...(latencyMs !== undefined && { latencyMs }) }));
  const taskQueue = options.taskQueue ?? `test-${randomUUID()}`;
  const plugin = new CadenzaPlugin({
    ...cadenza,
    codec,
    provider: options.provider ?? providerOf(options, server),
  });
  // A connection carries one worker for each queue: a second worker comes with its own, as another process would.
  const own =
    options.taskQueue === undefined
      ? undefined
      : await NativeConnection.connect({ address: temporal.address });
  const worker = await Worker.create({
    connection: own ?? temporal.nativeConnection,
    namespace: temporal.namespace,
    taskQueue,
    workflowBundle: {
      codePath: await sharedBundle(
        { encrypts: codec !== false, traces: cadenza.tracing !== undefined },
        { workflows, converter: dataConverter },
      ),
    },
    // A test's worker does not wait for calls that the test lets hang.
    shutdownGraceTime: 0,
    ...(dataConverter && { dataConverter }),
    ...workerOptions,
    plugins: [plugin],
  });
  const running = worker.run();
  const client = new Client({
    connection: temporal.connection,
    namespace: temporal.namespace,
    ...(codec ? { dataConverter: withCodec(codec, dataConverter) } : dataConverter && { dataConverter }),
  });
  const stop = async () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    await running;
    await own?.close();
    if (!options.server) await server.close();
  };
  return {
    client: new CadenzaClient(client, taskQueue, async () => undefined),
    plugin,
    server,
    taskQueue,
    worker,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function providerOf(
  { api = 'chat', stream = false, streamIdle = 300, limits }: HarnessOptions,
  { baseURL }: ModelServer,
): ModelProvider {
  return openaiProvider({
    apiKey: 'test-key',
    baseURL,
    model: 'test-model',
    api,
    stream,
    streamIdle,
    ...(limits && { limits }),
  });
}
