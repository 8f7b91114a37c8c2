import { basename, dirname, resolve } from 'node:path';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Connection } from '@temporalio/client';
import { createClient, type CadenzaClient } from '../client/client.ts';
import { connect } from '../client/connect.ts';
import { describeThrown } from '../protocol/failures.ts';
import { Archive, archiveFile } from '../storage/archive.ts';
import { openStore } from '../storage/open-store.ts';
import type { HistoryArchive } from '../transcript/history-events.ts';
import { UsageError } from './terminal.ts';

/** Options of every command: they go before the environment and the profile. */
export interface GlobalOptions {
  address?: string;
  namespace?: string;
  profile?: string;
  taskQueue?: string;
  storage?: string;
  archive?: string;
}

const patienceMs = 5_000;

/** Connects, does the work, and closes. Throws a {@link UsageError} that says what to do where no server answers. */
export async function withClient<T>(
  { address, namespace, profile, taskQueue, storage, archive }: GlobalOptions,
  work: (client: CadenzaClient) => Promise<T>,
): Promise<T> {
  const config = loadClientConnectConfig(profile === undefined ? {} : { profile });
  const options = { ...config.connectionOptions, ...(address !== undefined && { address }) };
  const where = options.address ?? 'localhost:7233';
  let connection: Connection;
  try {
    connection = await connect({ ...options, connectTimeout: patienceMs });
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
    ...(storage !== undefined && { storage }),
    ...(archive !== undefined && { archive }),
  });
  try {
    return await work(client);
  } finally {
    await client.close();
    await connection.close();
  }
}

/**
 * Does the work with runs from the archive alone, and no server: all of its runs, or with a `file` that one and what lies beside it. Throws a
 * {@link UsageError} where no archive is named.
 */
export async function withArchive<T>(
  { namespace, profile, storage, archive: named = process.env['CADENZA_ARCHIVE'] }: GlobalOptions,
  file: string | undefined,
  work: (client: CadenzaClient, run?: { workflowId: string; runId: string }) => Promise<T>,
): Promise<T> {
  const location = named ?? (file === undefined ? undefined : folderOf(file));
  if (location === undefined && file === undefined)
    throw new UsageError('name the archive: --archive, or CADENZA_ARCHIVE');
  const config = loadClientConnectConfig(profile === undefined ? {} : { profile });
  const space = namespace ?? config.namespace ?? 'default';
  const others = location === undefined ? undefined : new Archive(openStore(location), space);
  const found = file === undefined ? undefined : await archiveFile(file, others);
  // It is never used, and so never connects.
  const client = await createClient({
    connection: Connection.lazy(),
    namespace: found?.namespace ?? space,
    ...(storage !== undefined && { storage }),
  });
  return await work(client.reading((found?.archive ?? others) as HistoryArchive), found);
}

/** The archive that a file lies in, as an archive lays its files out. */
function folderOf(file: string): string | undefined {
  const archives = resolve(file, '../../..');
  return basename(archives) === 'archives' ? dirname(archives) : undefined;
}
