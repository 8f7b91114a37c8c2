import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failureConverterPath } from '../../src/codec/with-codec.ts';
import { ShippedBundles, type BundleNeeds } from '../../src/worker/shipped-bundles.ts';

const versions = {
  '@temporalio/common': '1.2.3',
  '@temporalio/worker': '1.2.3',
  '@temporalio/workflow': '1.2.3',
};
const buildIds = { agents: 'a', 'agents-encrypted': 'ae', 'agents-traced': 'at', limiter: 'l' };
const plain = { encrypts: false, traces: false };
const plugin = { name: 'cadenza', configureBundler: () => ({}) };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-bundles-'));
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ versions, buildIds }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a worker without workflows of its own takes the bundle of its kind', () => {
  const bundles = new ShippedBundles(folder, () => '1.2.3');
  const needs: BundleNeeds = { plugins: [plugin, { name: 'closes' }] };
  expect(bundles.forAgents(needs, plain, plugin)).toEqual({
    codePath: join(folder, 'agents.js'),
    buildId: 'a',
  });
  expect(bundles.forAgents(needs, { ...plain, traces: true }, plugin)?.buildId).toBe('at');
  const encrypting = { ...needs, dataConverter: { failureConverterPath } };
  expect(bundles.forAgents(encrypting, { ...plain, encrypts: true }, plugin)?.buildId).toBe('ae');
  expect(bundles.forLimiters({})?.buildId).toBe('l');
});

test.each<[string, BundleNeeds]>([
  ['workflows', { workflowsPath: '/workflows.js' }],
  ['options for the bundler', { bundlerOptions: { ignoreModules: ['fs'] } }],
  ['interceptors of workflows', { interceptors: { workflowModules: ['/interceptor.js'] } }],
  ['a payload converter', { dataConverter: { payloadConverterPath: '/converter.js' } }],
  ['a failure converter', { dataConverter: { failureConverterPath: '/converter.js' } }],
  ['a plugin that changes bundles', { plugins: [{ name: 'other', configureBundler: () => ({}) } as never] }],
])('a worker with %s of its own bundles', (_what, needs) => {
  expect(new ShippedBundles(folder, () => '1.2.3').forAgents(needs, plain, plugin)).toBeUndefined();
});

test('bundles that were made with other versions of Temporal’s packages are not taken', () => {
  const bundles = new ShippedBundles(folder, (name) => (name.endsWith('workflow') ? '1.3.0' : '1.2.3'));
  expect(bundles.forAgents({}, plain, plugin)).toBeUndefined();
});

test('where there are none, a worker bundles', () => {
  const bundles = new ShippedBundles(join(folder, 'absent'), () => '1.2.3');
  expect(bundles.forAgents({}, plain, plugin)).toBeUndefined();
});
