import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Connection } from '@temporalio/client';
import { createClient, type CadenzaClient } from '../client/client.ts';
import { describeThrown } from '../failures.ts';
import { UsageError } from './terminal.ts';

/** Options of every command: they go before the environment and the profile. */
export interface GlobalOptions {
  address?: string;
  namespace?: string;
  profile?: string;
  taskQueue?: string;
}

const longestMessage = 128 * 1024 * 1024;
const patienceMs = 5_000;

/** Connects, does the work, and closes. Throws a {@link UsageError} that says what to do where no server answers. */
export async function withClient<T>(
  { address, namespace, profile, taskQueue }: GlobalOptions,
  work: (client: CadenzaClient) => Promise<T>,
): Promise<T> {
  const config = loadClientConnectConfig(profile === undefined ? {} : { profile });
  const options = { ...config.connectionOptions, ...(address !== undefined && { address }) };
  const where = options.address ?? 'localhost:7233';
  let connection: Connection;
  try {
    connection = await Connection.connect({
      ...options,
      connectTimeout: patienceMs,
      channelArgs: { 'grpc.max_receive_message_length': longestMessage },
    });
  } catch (thrown) {
    throw new UsageError(
      `no Temporal server answers at ${where} (${describeThrown(thrown)}); start one with "cadenza dev", or set --address, TEMPORAL_ADDRESS or --profile`,
    );
  }
  const space = namespace ?? config.namespace;
  const client = await createClient({
    connection,
    ...(space !== undefined && { namespace: space }),
    ...(taskQueue !== undefined && { taskQueue }),
  });
  try {
    return await work(client);
  } finally {
    await client.close();
    await connection.close();
  }
}
