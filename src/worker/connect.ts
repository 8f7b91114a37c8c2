import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import { describeThrown } from '../protocol/failures.ts';

const notFound = 5;

/**
 * Connects a worker to Temporal and looks whether the namespace is there: a worker without one would only find out after
 * starting, and take a quarter of a minute for it.
 *
 * Throws an `Error` that names the address and what to set.
 */
export async function connect(
  options: NativeConnectionOptions = {},
  namespace: string,
): Promise<NativeConnection> {
  const { address = 'localhost:7233' } = options;
  let connection: NativeConnection;
  try {
    connection = await NativeConnection.connect(options);
  } catch (thrown) {
    const why = lastMessage(describeThrown(thrown));
    throw new Error(
      `Temporal could not be reached at ${address}: ${why}. Start a server there, or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE`,
      { cause: thrown },
    );
  }
  try {
    await connection.workflowService.describeNamespace({ namespace });
  } catch (thrown) {
    // Anything else (an identity that may not look at namespaces) is for the worker to find out.
    if ((thrown as { code?: unknown }).code !== notFound) return connection;
    await connection.close();
    throw new Error(
      `the Temporal server at ${address} has no namespace "${namespace}"; create it, or set TEMPORAL_NAMESPACE to one that exists`,
      { cause: thrown },
    );
  }
  return connection;
}

/** The innermost message of an error in the native client's own notation, which nests them. */
function lastMessage(text: string): string {
  return [...text.matchAll(/message: "([^"]+)"/g)].at(-1)?.[1] ?? text;
}
