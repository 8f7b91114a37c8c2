import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second in `/proc`: fixed on Linux. */
const ticksPerSecond = 100;

/** CPU time in ms of the process that serves at an address of this machine; `undefined` where that cannot be seen (not on Linux). */
export function serverCpuMs(address: string): number | undefined {
  const port = address.split(':').at(-1) ?? '';
  try {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--port=${port}\0`)) continue;
      // The name, in brackets, may hold spaces; user and system time are the 12th and 13th field behind it.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
    }
  } catch {
    // A process that ends while it is looked at, or no /proc.
  }
  return undefined;
}
