import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { postgresPrograms, startPostgres } from '../../test/support/postgres/postgres-server.ts';
import type { ModelStatus } from '../history/model-process.ts';
import { startChild, type Child } from '../support/child.ts';
import { contenders, type Contender } from './contenders.ts';
import type { PeerPlace } from './peer-place.ts';
import type { PeerUsage } from './peer-process.ts';

/** Where everything is measured: one Temporal server, one PostgreSQL, one model that answers at once. */
export interface Site extends AsyncDisposable {
  readonly client: CadenzaClient;
  readonly model: Child<ModelStatus>;
  readonly contenders: readonly Contender[];
  readonly bundles: ReadonlyMap<string, BundleFigures>;
  /** Starts a contender's process. */
  start(contender: Contender, options?: Partial<PeerPlace>): Promise<Place>;
}

/** A contender's process that is ready. */
export interface Place {
  readonly child: Child<PeerUsage>;
  readonly taskQueue: string;
}

/** What a contender's workflows make as a bundle. */
export interface BundleFigures {
  /** Absent where the package comes with it. */
  readonly file: string | undefined;
  readonly bytes: number;
}

/** Brings everything up. Without PostgreSQL's programs the contender that needs them is left out, and said so. */
export async function openSite(report: (line: string) => void): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'cadenza-peers-'));
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const temporal = await ensureTemporal({ fresh: true, report });
  stack.defer(async () => await temporal.close());
  const connection = await Connection.connect({ address: temporal.address });
  stack.defer(async () => await connection.close());
  const client = await createClient({ connection, namespace: temporal.namespace });
  const model = await startChild<ModelStatus>(new URL('../history/model-process.ts', import.meta.url));
  stack.defer(async () => await model.stop());
  let database: string | undefined;
  if (postgresPrograms() === undefined) report('PostgreSQL is not installed: LangGraph is left out');
  else {
    const postgresFolder = await mkdtemp(join(tmpdir(), 'cadenza-peers-pg-'));
    const postgres = await startPostgres(postgresFolder);
    const { port, user, password } = postgres;
    stack.defer(async () => {
      await postgres.stop();
      await rm(postgresFolder, { recursive: true, force: true });
    });
    database = `postgresql://${user}:${password}@127.0.0.1:${port}/postgres`;
  }
  const taking = contenders.filter(({ temporal: on }) => on || database !== undefined);
  const bundles = await bundleAll(taking, folder, report);
  const kept = stack.move();
  let queues = 0;
  return {
    client,
    model,
    contenders: taking,
    bundles,
    async start(contender, options = {}) {
      queues += 1;
      // A name's length is in every history, and must be the same for all.
      const taskQueue = `bench-${String(queues).padStart(3, '0')}`;
      const place: PeerPlace = {
        address: temporal.address,
        taskQueue,
        baseURL: model.ready.baseURL,
        bundle: bundles.get(contender.folder)?.file,
        database,
        ...options,
      };
      const child = await startChild<PeerUsage>(new URL('./peer-process.ts', import.meta.url), {
        args: [contender.folder],
        env: { BENCH_PLACE: JSON.stringify(place), OPENAI_API_KEY: 'none' },
        nodeOptions: ['--disable-warning=ExperimentalWarning'],
        built: true,
        // One of the peers prints every span, with what tools returned.
        quiet: true,
      });
      return { child, taskQueue: place.taskQueue };
    },
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}

async function bundleAll(
  taking: readonly Contender[],
  folder: string,
  report: (line: string) => void,
): Promise<Map<string, BundleFigures>> {
  const bundles = new Map<string, BundleFigures>();
  for (const { folder: of, temporal } of taking) {
    if (!temporal || bundles.has(of)) continue;
    if (of === 'cadenza') {
      const { size } = await stat(new URL('../../dist/bundles/agents.js', import.meta.url));
      bundles.set(of, { file: undefined, bytes: size });
      continue;
    }
    report(`bundling ${of}`);
    const file = join(folder, `${of.replaceAll('/', '-')}.js`);
    const program = fileURLToPath(new URL('./others/bundle.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '--conditions=cadenza-source',
        '--disable-warning=ExperimentalWarning',
        program,
        of.replace('others/', ''),
        file,
      ],
      { maxBuffer: 64 * 1024 * 1024 },
    );
    const { bytes } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { bytes: number };
    bundles.set(of, { file, bytes });
  }
  return bundles;
}
