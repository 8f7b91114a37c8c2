import type { TestProject } from 'vitest/node';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';

declare module 'vitest' {
  interface ProvidedContext {
    temporalAddress: string;
    /** How much of the fault tests is run: `some` in `npm test`, `all` in `npm run test:faults`. */
    faults: 'some' | 'all';
  }
}

/** Starts the one Temporal server that all test files share, and stops it after the last of them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const report = (line: string) => void process.stderr.write(`${line}\n`);
  const temporal = await ensureTemporal({ fresh: true, report });
  project.provide('temporalAddress', temporal.address);
  return temporal.close;
}
