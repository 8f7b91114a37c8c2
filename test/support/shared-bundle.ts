import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { DataConverter } from '@temporalio/common';
import { inject } from 'vitest';
import { bundlerOptions, modulePath, noUserWorkflows, type BundleKind } from '../../src/worker/bundling.ts';

const made = new Map<string, Promise<string>>();

/** The file of a workflow bundle, which whichever test file needs it first makes for all of them. */
export async function sharedBundle(
  kind: BundleKind,
  { workflows, converter = {} }: { workflows?: URL | undefined; converter?: DataConverter | undefined } = {},
): Promise<string> {
  const { payloadConverterPath, failureConverterPath } = converter;
  const options = {
    workflowsPath: workflows ? fileURLToPath(workflows) : modulePath(noUserWorkflows),
    ...(payloadConverterPath !== undefined && { payloadConverterPath }),
    ...(failureConverterPath !== undefined && { failureConverterPath }),
  };
  const key = createHash('sha256')
    .update(JSON.stringify({ ...options, ...kind, changed: lastChange(workflows) }))
    .digest('hex');
  const known = made.get(key) ?? bundle(join(inject('bundles'), `${key.slice(0, 16)}.js`), options, kind);
  made.set(key, known);
  return await known;
}

/** When the workflow code was last changed: with `vitest --watch` that happens while bundles are there. */
function lastChange(workflows: URL | undefined): number {
  const sources = fileURLToPath(new URL('../../src/', import.meta.url));
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).map((name) =>
    join(sources, name),
  );
  const all = workflows ? [...files, fileURLToPath(workflows)] : files;
  return Math.max(...all.map((file) => statSync(file).mtimeMs));
}

async function bundle(
  file: string,
  options: Parameters<typeof bundlerOptions>[0],
  kind: BundleKind,
): Promise<string> {
  if (existsSync(file)) return file;
  const { code } = await bundleWorkflowCode({
    ...bundlerOptions(options, kind),
    logger: new DefaultLogger('ERROR'),
  });
  // Others see it whole or not at all.
  const whole = `${file}.${randomUUID()}`;
  await writeFile(whole, code);
  await rename(whole, file);
  return file;
}
