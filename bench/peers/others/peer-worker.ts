/** What the contenders on Temporal share: a worker with their plugin, and the tool as an activity. */
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerPlugin } from '@temporalio/worker';
import { readPage, type PageRequest } from '../../history/book.ts';
import type { PeerPlace } from '../peer-place.ts';

/** A worker that polls. */
export interface PeerWorker {
  stop(): Promise<void>;
  /** Where runs are started by HTTP, for a contender that has no client of its own. */
  readonly url?: string;
}

/** The page of a book, and a line in the ledger that the tool was called. */
export function readRecorded(ledger: string | undefined, request: PageRequest): string {
  if (ledger !== undefined) appendFileSync(ledger, `${request.page}\n`);
  return readPage(request);
}

/** Starts a worker of Temporal's for a peer. */
export async function createPeerWorker(
  { address, taskQueue, bundle, ledger }: PeerPlace,
  workflows: URL,
  plugins: WorkerPlugin[],
): Promise<PeerWorker> {
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'ERROR' } } });
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    taskQueue,
    identity: `${process.pid}@bench`,
    shutdownGraceTime: 0,
    plugins,
    activities: { read_page: async (request: PageRequest) => readRecorded(ledger, request) },
    ...(bundle === undefined
      ? { workflowsPath: fileURLToPath(workflows) }
      : { workflowBundle: { codePath: bundle } }),
  });
  const running = worker.run();
  return {
    async stop() {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running;
      await connection.close();
    },
  };
}
