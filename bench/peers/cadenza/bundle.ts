/** Bundles Cadenza's workflows into a file: `bundle.ts NAME FILE`. Prints how large it is, and how long that took. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { CadenzaPlugin, openaiProvider } from 'cadenza/worker';
import { reader } from '../../history/reader-agent.ts';

const [, file = ''] = process.argv.slice(2);
const startedAt = performance.now();
const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('../../../dist/workflows/no-user-workflows.js', import.meta.url)),
  // The key is needed to make the provider, which is not used: only the plugin's bundling is.
  plugins: [new CadenzaPlugin({ agents: [reader], provider: openaiProvider({ apiKey: 'none' }) })],
  logger: new DefaultLogger('ERROR'),
});
const ms = performance.now() - startedAt;
writeFileSync(file, code);
process.stdout.write(`${JSON.stringify({ bytes: Buffer.byteLength(code), ms })}\n`);
