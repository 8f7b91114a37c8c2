import { readFile } from 'node:fs/promises';
import type { ArchivedHistory, HistoryArchive } from '../transcript/history-events.ts';
import { decodeArchive, encodeArchive, type ArchivedRun } from './archive-document.ts';
import { workflowPrefix } from './keys.ts';
import type { ObjectStore, StoredObject } from './object-store.ts';

const ending = '.json.gz';

/** Archived runs in a store, one object each, below their workflow's id. */
export class Archive implements HistoryArchive {
  readonly location: string;
  private readonly store: ObjectStore;
  private readonly namespace: string;
  /** The one that was read last: whoever looks at a run looks at it more than once. */
  private last: { key: string; run: Promise<ArchivedRun> } | undefined;

  constructor(store: ObjectStore, namespace: string) {
    this.store = store;
    this.location = store.location;
    this.namespace = namespace;
  }

  /** Writes a run and returns its key and its size. Writing it again replaces it. */
  async write(run: ArchivedRun): Promise<{ key: string; bytes: number }> {
    const { workflowId, runId, closedAt } = run.header;
    const data = await encodeArchive(run);
    const key = `${this.prefix(workflowId)}${closedAt.replaceAll(/[^\dTZ.]/g, '')}-${runId}${ending}`;
    await this.store.put(key, data);
    return { key, bytes: data.byteLength };
  }

  async find(workflowId: string, runId?: string): Promise<ArchivedHistory | undefined> {
    let found: string | undefined;
    for await (const { key } of this.objects(workflowId))
      if (runId === undefined || key.endsWith(`-${runId}${ending}`)) found = key;
    if (found === undefined) return undefined;
    return historyOf(await this.read(found));
  }

  /** The archives of a workflow id, the run that closed first before the others. */
  objects(workflowId: string): AsyncIterable<StoredObject> {
    return this.store.list(this.prefix(workflowId));
  }

  async delete(key: string): Promise<void> {
    if (this.last?.key === key) this.last = undefined;
    await this.store.delete(key);
  }

  private prefix(workflowId: string): string {
    return `archives/${workflowPrefix(this.namespace, workflowId)}`;
  }

  private async read(key: string): Promise<ArchivedRun> {
    if (this.last?.key !== key) {
      const run = this.store.get(key).then(async (data) => await decodeArchive(data, key));
      this.last = { key, run };
      run.catch(() => (this.last = undefined));
    }
    return await this.last.run;
  }
}

/** A single archive in a file, wherever it came from, and what else an archive beside it has. */
export async function archiveFile(
  path: string,
  others?: HistoryArchive,
): Promise<{ archive: HistoryArchive; workflowId: string; runId: string; namespace: string }> {
  const run = await decodeArchive(await readFile(path), path);
  const { workflowId, runId, namespace } = run.header;
  const archive: HistoryArchive = {
    find: async (id, wanted) =>
      id === workflowId && (wanted === undefined || wanted === runId)
        ? historyOf(run)
        : await others?.find(id, wanted),
  };
  return { archive, workflowId, runId, namespace };
}

function historyOf({ header, events }: ArchivedRun): ArchivedHistory {
  const { workflowId, runId, firstRunId, state, startedAt, closedAt, agent } = header;
  return {
    workflowId,
    runId,
    firstRunId,
    state,
    startedAt: new Date(startedAt),
    closedAt: new Date(closedAt),
    ...(agent !== undefined && { agent }),
    events,
  };
}
