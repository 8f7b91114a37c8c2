import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One effect that a tool had, or one execution of a tool without any. */
export interface LedgerEntry {
  workflowId: string;
  tool: string;
  key: string;
  /** The call's place in its run: `turn-6.0`. */
  call?: string;
  pid: number;
  /** Milliseconds since the epoch. */
  at: number;
}

/**
 * The world outside: what tools of several processes did, in a folder that outlives each of them. The test says with `hold`
 * that tools must not come back after their effect.
 */
export class Ledger {
  readonly folder: string;

  constructor(folder = mkdtempSync(join(tmpdir(), 'cadenza-ledger-'))) {
    this.folder = folder;
  }

  get entries(): LedgerEntry[] {
    if (!existsSync(this.file)) return [];
    const lines = readFileSync(this.file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as LedgerEntry);
  }

  write(entry: Omit<LedgerEntry, 'pid' | 'at'>): void {
    // One write of less than a block, so that lines of several processes do not mix.
    appendFileSync(this.file, `${JSON.stringify({ ...entry, pid: process.pid, at: Date.now() })}\n`);
  }

  get held(): boolean {
    return existsSync(this.holdFile);
  }

  hold(): void {
    writeFileSync(this.holdFile, '');
  }

  release(): void {
    rmSync(this.holdFile, { force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get file(): string {
    return join(this.folder, 'ledger');
  }

  private get holdFile(): string {
    return join(this.folder, 'hold');
  }
}
