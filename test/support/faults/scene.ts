import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { CadenzaClient } from 'cadenza/client';
import { expect, inject, vi } from 'vitest';
import {
  createModelServer,
  type ModelServer,
  type ModelServerOptions,
} from '../../../src/testing/model-server.ts';
import { Ledger } from '../processes/ledger.ts';
import type { PointAction } from '../processes/points.ts';
import { startWorkerProcess, type WorkerProcess } from '../processes/worker-process.ts';
import { sharedBundle } from '../shared-bundle.ts';

/** The program that operators start. It bundles its workflow code when it starts. */
export const ownWorker = new URL('../../../src/worker/main.ts', import.meta.url);
const bundledWorker = new URL('./bundled-worker.ts', import.meta.url);

/** How long anything of a scene may take to come about: heartbeats and retries of a machine that does much else. */
export const patienceMs = 120_000;

/** What a scene is made of. */
export interface SceneOptions {
  /** The module of `test/support/processes` that exports the agents of the worker processes. */
  agents: string;
  respond: ModelServerOptions['respond'];
  /** The Temporal server of the client and the workers. Default: the one that the test run shares. */
  address?: string;
  /** Default: `default`. */
  namespace?: string;
  /** How the workers reach it, if otherwise. */
  workersAddress?: string;
  /** Further variables of every worker. */
  env?: Record<string, string>;
}

/** How one worker differs from the others. */
export interface WorkerOptions {
  /** What happens to this process at points of its tools: `{ 'after charge': 'hold' }`. */
  at?: Record<string, PointAction>;
  env?: Record<string, string>;
  /** Megabytes of its heap. */
  memory?: number;
  /** Its program, such as {@link ownWorker}. Default: one like it, with workflow code that was bundled before. */
  program?: URL;
  /** Another module of agents: another build. */
  agents?: string;
  /** Whether to wait until it takes work. Default `true`. */
  ready?: boolean;
}

/**
 * Worker processes, a model, a ledger and a client on a task queue of their own: something happens to one of them, and the rest of the case says
 * what must have come of it. Use it as `await using scene = await startScene({ … })`.
 */
export interface Scene {
  readonly client: CadenzaClient;
  readonly ledger: Ledger;
  readonly model: ModelServer;
  readonly taskQueue: string;
  readonly workers: readonly WorkerProcess[];
  worker(options?: WorkerOptions): Promise<WorkerProcess>;
  /** Waits until a tool of the run has come to the point, and says in which process. */
  reached(point: string, workflowId?: string): Promise<number>;
  /** Lets tools come back that wait at a point. */
  go(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a scene. */
export async function startScene(options: SceneOptions): Promise<Scene> {
  const address = options.address ?? inject('temporalAddress');
  const { namespace = 'default' } = options;
  const taskQueue = `scene-${randomUUID()}`;
  const ledger = new Ledger();
  const model = await createModelServer({ respond: options.respond });
  const connection = await Connection.connect({
    address,
    channelArgs: { 'grpc.max_receive_message_length': 128 * 1024 * 1024 },
  });
  const workers: WorkerProcess[] = [];
  return {
    client: new CadenzaClient(new Client({ connection, namespace }), taskQueue, async () => undefined),
    ledger,
    model,
    taskQueue,
    workers,
    async worker({ at = {}, env = {}, memory, program, agents = options.agents, ready = true } = {}) {
      const worker = startWorkerProcess(
        {
          TEMPORAL_ADDRESS: options.workersAddress ?? address,
          TEMPORAL_NAMESPACE: namespace,
          OPENAI_BASE_URL: model.baseURL,
          CADENZA_AGENTS: fileURLToPath(new URL(`../processes/${agents}`, import.meta.url)),
          CADENZA_TASK_QUEUE: taskQueue,
          TEST_LEDGER: ledger.folder,
          TEST_AT: JSON.stringify(at),
          TEST_BUNDLE: await sharedBundle({ encrypts: false, traces: false }),
          ...options.env,
          ...env,
        },
        fileURLToPath(program ?? bundledWorker),
        ['--conditions=cadenza-source', ...(memory === undefined ? [] : [`--max-old-space-size=${memory}`])],
      );
      workers.push(worker);
      if (ready) await worker.ready();
      return worker;
    },
    async reached(point, workflowId) {
      return await vi.waitFor(
        () => {
          const there = pointsIn(ledger.folder).filter((each) => each.point === point);
          const [first] = there.filter((each) => workflowId === undefined || each.workflowId === workflowId);
          expect(first, `nobody has come to "${point}"`).toBeDefined();
          return first!.pid;
        },
        { timeout: patienceMs },
      );
    },
    go: () => writeFileSync(join(ledger.folder, 'go'), ''),
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map(async (worker) => await worker[Symbol.asyncDispose]()));
      await model.close();
      await connection.close();
      ledger[Symbol.dispose]();
    },
  };
}

function pointsIn(folder: string): { point: string; workflowId: string; pid: number }[] {
  const file = join(folder, 'points');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as { point: string; workflowId: string; pid: number });
}
