import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { defineAgent } from 'cadenza';
import { CadenzaPlugin } from 'cadenza/worker';

let made: Promise<string> | undefined;

/** The file of the workflow code for workers of this test file, which is bundled once. */
export function bundledWorkflows(): Promise<string> {
  return (made ??= bundle());
}

async function bundle(): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../../src/workflows/no-user-workflows.ts', import.meta.url)),
    plugins: [new CadenzaPlugin({ agents: [defineAgent({ name: 'any', instructions: 'Any.' })] })],
    logger: new DefaultLogger('ERROR'),
  });
  const file = join(tmpdir(), `cadenza-faults-${randomUUID()}.js`);
  writeFileSync(file, code);
  process.once('exit', () => rmSync(file, { force: true }));
  return file;
}
