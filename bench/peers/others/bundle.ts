/** Bundles the workflows of a contender into a file: `bundle.ts NAME FILE`. Prints how large it is. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type BundlerPlugin } from '@temporalio/worker';

const [name = '', file = ''] = process.argv.slice(2);
const { createPlugin, workflows } = (await import(`./${name}/worker.ts`)) as {
  createPlugin(baseURL: string): BundlerPlugin;
  workflows: URL;
};
const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(workflows),
  plugins: [createPlugin('http://127.0.0.1:9/v1')],
  logger: new DefaultLogger('ERROR'),
});
writeFileSync(file, code);
process.stdout.write(`${JSON.stringify({ bytes: Buffer.byteLength(code) })}\n`);
