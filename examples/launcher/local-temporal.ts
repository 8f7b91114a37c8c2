import { resolve } from 'node:path';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import type { Surroundings } from './run-program.ts';
import { installQuietRuntime } from './quiet-runtime.ts';
import { dim, print } from './terminal.ts';

/** A Temporal server to work with, and this process's connections to it. */
export interface LocalTemporal {
  namespace: string;
  /** For workers. */
  nativeConnection: NativeConnection;
  client: CadenzaClient;
  /** Where people look at a run, if there is a Web UI. */
  linkTo(run: { workflowId: string; runId: string }): string | undefined;
  uiUrl: string | undefined;
  /** Whether the server stops when this process has ended. */
  isOurs: boolean;
}

/** Histories come in pages of up to several megabytes; gRPC's own limit is 4 MB. */
const longestMessage = 128 * 1024 * 1024;

/** Finds or starts a Temporal server, and connects to it. Says what it does. */
export async function connectToTemporal(
  { taskQueue }: { taskQueue: string },
  { signal, cleanup }: Surroundings,
): Promise<LocalTemporal> {
  const dataDir = resolve(process.env['CADENZA_DATA_DIR'] || '.cadenza');
  const temporal = await ensureTemporal({ dataDir, signal, report: (line) => print(dim(line)) });
  const { namespace, uiUrl, connectionOptions } = temporal;
  cleanup.add(async () => await temporal.close());
  const connection = await Connection.connect({
    ...connectionOptions,
    channelArgs: { 'grpc.max_receive_message_length': longestMessage },
  });
  cleanup.add(async () => await connection.close());
  installQuietRuntime();
  const nativeConnection = await NativeConnection.connect(connectionOptions);
  cleanup.add(async () => await nativeConnection.close());
  return {
    namespace,
    nativeConnection,
    client: await createClient({ connection, namespace, taskQueue }),
    uiUrl,
    isOurs: temporal.startedHere,
    linkTo({ workflowId, runId }) {
      if (uiUrl === undefined) return undefined;
      const path = ['namespaces', namespace, 'workflows', workflowId, runId];
      return `${uiUrl}/${path.map(encodeURIComponent).join('/')}`;
    },
  };
}
