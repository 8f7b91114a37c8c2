import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const MODULE = new URL('../../src/installation/node-version.ts', import.meta.url).href;
const GUARD = fileURLToPath(new URL('../../scripts/require-node.cjs', import.meta.url));

/** Runs both guards in a process that believes to be another version of Node. */
function runAs(version: string, load: string) {
  const code = `Object.defineProperty(process.versions, 'node', { value: ${JSON.stringify(version)} });
    Promise.resolve().then(() => ${load}).then(() => console.log('went on'));`;
  return spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
}

describe.each([
  ['the module', `import(${JSON.stringify(MODULE)})`],
  ['the preloaded script', `require(${JSON.stringify(GUARD)})`],
])('%s', (_name, load) => {
  test.each(['12.22.0', '20.20.2', '22.12.0'])('ends Node %s with one sentence', (version) => {
    const { status, stdout, stderr } = runAs(version, load);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(
      new RegExp(`^Cadenza needs Node 22\\.13 or newer and this is Node ${version}: install .*\\.\n$`),
    );
  });

  test.each(['22.13.0', '24.0.0', '25.1.0-nightly'])('lets Node %s go on', (version) => {
    expect(runAs(version, load)).toMatchObject({ status: 0, stdout: 'went on\n', stderr: '' });
  });
});
