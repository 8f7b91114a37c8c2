import { Connection, type ConnectionOptions } from '@temporalio/client';

/** Most bytes of one message from the server. Histories come in pages of up to several megabytes; gRPC's own limit is 4 MB. */
const longestMessage = 128 * 1024 * 1024;

/** A connection by which long histories can be read. Throws what Temporal's `Connection.connect` throws. */
export async function connect(options: ConnectionOptions = {}): Promise<Connection> {
  return await Connection.connect({
    ...options,
    channelArgs: { 'grpc.max_receive_message_length': longestMessage, ...options.channelArgs },
  });
}
