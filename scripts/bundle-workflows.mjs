// The last part of `npm run build`: bundles the package's workflows, so that a worker without workflows of its own need not do it at each start.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { bundlerOptions, limiterWorkflow, modulePath, noUserWorkflows } from '../dist/worker/bundling.js';
import {
  bundledPackages,
  bundlesFolder,
  bundleName,
  installedVersion,
} from '../dist/worker/shipped-bundles.js';
import { failureConverterPath } from '../dist/codec/with-codec.js';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const logger = new DefaultLogger('WARN');
const kinds = [false, true].flatMap((encrypts) => [false, true].map((traces) => ({ encrypts, traces })));

const wanted = [
  ...kinds.map((kind) => ({
    name: bundleName('agents', kind),
    options: bundlerOptions({ workflowsPath: modulePath(noUserWorkflows) }, kind),
  })),
  ...[false, true].map((encrypts) => ({
    name: bundleName('limiter', { encrypts, traces: false }),
    options: { workflowsPath: modulePath(limiterWorkflow), ...(encrypts && { failureConverterPath }) },
  })),
];

/** Stack traces name files as they are in a package, not on the machine that built it. */
function portable({ webpackConfigHook: hook = (config) => config }) {
  return (given) => {
    const config = hook(given);
    const output = {
      ...config.output,
      devtoolModuleFilenameTemplate: ({ absoluteResourcePath }) => nameInPackage(absoluteResourcePath),
    };
    return { ...config, devtool: 'inline-nosources-source-map', output };
  };
}

function nameInPackage(path) {
  const dependency = path.lastIndexOf('/node_modules/');
  if (dependency !== -1) return path.slice(dependency + 1);
  return path.startsWith(packageFolder) ? `cadenza/${path.slice(packageFolder.length)}` : path;
}

mkdirSync(bundlesFolder, { recursive: true });
const buildIds = {};
for (const { name, options } of wanted) {
  const { code } = await bundleWorkflowCode({ ...options, logger, webpackConfigHook: portable(options) });
  writeFileSync(`${bundlesFolder}${name}.js`, code);
  buildIds[name] = `cadenza@${version}+${createHash('sha256').update(code).digest('hex').slice(0, 8)}`;
}
const versions = Object.fromEntries(bundledPackages.map((name) => [name, installedVersion(name)]));
writeFileSync(`${bundlesFolder}manifest.json`, `${JSON.stringify({ versions, buildIds }, undefined, 2)}\n`);
