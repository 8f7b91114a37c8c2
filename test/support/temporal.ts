import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { afterAll, inject } from 'vitest';

/** The channel's own limit of 4 MB is below what a long run's history takes. */
const MAX_RECEIVE_BYTES = 128 * 1024 * 1024;

export interface TemporalForTests {
  readonly address: string;
  readonly namespace: string;
  readonly connection: Connection;
  /** For workers. */
  readonly nativeConnection: NativeConnection;
  readonly client: Client;
}

type Connected = ReturnType<typeof connectTo>;
const connected = new Map<'temporalAddress' | 'soonAddress', Connected>();

/** Connects to the server of the test run, once for each test file, and disconnects after the file's last test. */
export function connectToTemporal(): Promise<TemporalForTests> {
  return connectOnce('temporalAddress');
}

/** Connects likewise to one that suggests to continue as new after a few hundred events. */
export function connectToSoon(): Promise<TemporalForTests> {
  return connectOnce('soonAddress');
}

function connectOnce(name: 'temporalAddress' | 'soonAddress'): Connected {
  const connection = connected.get(name) ?? connectTo(inject(name));
  connected.set(name, connection);
  return connection;
}

/** Connects to a server, until whoever asked disposes of it. */
export async function connectTo(address: string): Promise<TemporalForTests & AsyncDisposable> {
  const namespace = 'default';
  const [connection, nativeConnection] = await Promise.all([
    Connection.connect({ address, channelArgs: { 'grpc.max_receive_message_length': MAX_RECEIVE_BYTES } }),
    NativeConnection.connect({ address }),
  ]);
  return {
    address,
    namespace,
    connection,
    nativeConnection,
    client: new Client({ connection, namespace }),
    async [Symbol.asyncDispose]() {
      await connection.close();
      await nativeConnection.close();
    },
  };
}

afterAll(async () => {
  const all = [...connected.values()];
  connected.clear();
  for (const temporal of all) await (await temporal)[Symbol.asyncDispose]();
});
