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

let connected: Promise<TemporalForTests> | undefined;

/** Connects to the server of the test run, once for each test file, and disconnects after the file's last test. */
export function connectToTemporal(): Promise<TemporalForTests> {
  return (connected ??= connect());
}

async function connect(): Promise<TemporalForTests> {
  return await connectTo(inject('temporalAddress'));
}

/** Connects to a server, which is to be closed by whoever asked. */
export async function connectTo(address: string): Promise<TemporalForTests> {
  const namespace = 'default';
  const [connection, nativeConnection] = await Promise.all([
    Connection.connect({ address, channelArgs: { 'grpc.max_receive_message_length': MAX_RECEIVE_BYTES } }),
    NativeConnection.connect({ address }),
  ]);
  return { address, namespace, connection, nativeConnection, client: new Client({ connection, namespace }) };
}

afterAll(async () => {
  const temporal = await connected;
  connected = undefined;
  await temporal?.connection.close();
  await temporal?.nativeConnection.close();
});
