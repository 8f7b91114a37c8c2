import { writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';

/** When a benchmark began, and what else the machine did then. */
export interface Beginning {
  readonly startedAt: Date;
  readonly loadBefore: number[];
}

/** To be called before anything is measured. */
export function beginning(): Beginning {
  return { startedAt: new Date(), loadBefore: loadavg() };
}

/** Writes a benchmark's results for programs, with the machine that they are of. Without a file it does nothing. */
export async function writeResult(
  file: string | undefined,
  { startedAt, loadBefore }: Beginning,
  result: { readonly benchmark: string; readonly quick: boolean; readonly [part: string]: unknown },
): Promise<void> {
  if (file === undefined) return;
  const { benchmark, quick, ...rest } = result;
  const machine = {
    cores: availableParallelism(),
    node: process.version,
    platform: process.platform,
    loadBefore,
  };
  await writeFile(file, `${JSON.stringify({ benchmark, startedAt, quick, machine, ...rest }, null, 2)}\n`);
}
