import {
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** What `temporal.json` in a data folder says about its running server. It may be out of date: check `pipe` or `pid`. */
export interface ServerRecord {
  readonly address: string;
  readonly uiUrl?: string;
  readonly pid: number;
  /** Names the pipe that holds this server, and so tells it from an earlier one; 0 where there are no pipes. */
  readonly pipe: number;
}

export function readRecord(dataDir: string): ServerRecord | undefined {
  let record: Partial<Record<keyof ServerRecord, unknown>>;
  try {
    record = JSON.parse(readFileSync(recordPath(dataDir), 'utf8')) as typeof record;
  } catch {
    return undefined;
  }
  const { address, uiUrl, pid, pipe } = record;
  if (typeof address !== 'string' || typeof pid !== 'number' || typeof pipe !== 'number') return undefined;
  return { address, pid, pipe, ...(typeof uiUrl === 'string' ? { uiUrl } : {}) };
}

export function writeRecord(dataDir: string, record: ServerRecord): void {
  const path = recordPath(dataDir);
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

export function removeRecord(dataDir: string): void {
  rmSync(recordPath(dataDir), { force: true });
}

/**
 * Remembers which data folder's server has a port. A start in another folder finds that server by its port, and must hold
 * it like any other user, or it would be stopped under its hands.
 */
export function notePortOwner(cacheDir: string, port: number, dataDir: string): void {
  const path = portPath(cacheDir, port);
  try {
    mkdirSync(cacheDir, { recursive: true });
    rmSync(path, { force: true });
    symlinkSync(dataDir, path);
  } catch {
    // Without the note (no right to make links, a cache that cannot be written) only starts in other folders lose something.
  }
}

/** The data folder whose server had the port last, if it was one of ours. */
export function portOwner(cacheDir: string, port: number): string | undefined {
  try {
    return readlinkSync(portPath(cacheDir, port));
  } catch {
    return undefined;
  }
}

const recordPath = (dataDir: string) => join(dataDir, 'temporal.json');
const portPath = (cacheDir: string, port: number) => join(cacheDir, `port-${port}`);
