import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { suggestSoon } from './flood.ts';

declare module 'vitest' {
  interface ProvidedContext {
    temporalAddress: string;
    /** Another one, which suggests to continue as new after a few hundred events. */
    soonAddress: string;
    /** Folder for bundles of workflows, which all test files share. */
    bundles: string;
    /** How much of the fault tests is run: `some` in `npm test`, `all` in `npm run test:faults`. */
    faults: 'some' | 'all';
  }
}

/** Starts the Temporal servers that all test files share, and stops them after the last of these; makes room for what they share. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const report = (line: string) => void process.stderr.write(`${line}\n`);
  const temporal = await ensureTemporal({ fresh: true, report });
  project.provide('temporalAddress', temporal.address);
  const soonServer = await ensureTemporal({ fresh: true, report, settings: [suggestSoon] });
  project.provide('soonAddress', soonServer.address);
  const bundles = await mkdtemp(join(tmpdir(), 'cadenza-test-bundles-'));
  project.provide('bundles', bundles);
  return async () => {
    await Promise.all([temporal.close(), soonServer.close()]);
    await rm(bundles, { recursive: true, force: true });
  };
}
