import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { CadenzaClient } from 'cadenza/client';
import { CadenzaPlugin, openaiProvider } from 'cadenza/worker';
import { taskText, type ReadingTask } from './book.ts';
import { reader } from './reader-agent.ts';

/** The two loops that are compared. */
export type LoopName = 'cadenza' | 'hand-written';

export const loopNames: readonly LoopName[] = ['cadenza', 'hand-written'];

/** Starts a run of a loop; `answer` waits for its end. */
export async function startRun(
  loop: LoopName,
  client: CadenzaClient,
  taskQueue: string,
  task: ReadingTask,
): Promise<{ handle: WorkflowHandle; answer: () => Promise<string> }> {
  if (loop === 'cadenza') {
    const run = await client.start(reader, taskText(task), { taskQueue });
    const handle = client.temporal.workflow.getHandle(run.workflowId);
    return { handle, answer: async () => (await run.result()).output };
  }
  const handle = await client.temporal.workflow.start('readerAgent', {
    taskQueue,
    workflowId: `hand-written-${crypto.randomUUID().slice(0, 8)}`,
    args: [taskText(task)],
  });
  return { handle, answer: async () => (await handle.result()) as string };
}

/** The loops' workflow bundles as files, made once: bundling is no part of what is measured. */
export interface Bundles extends AsyncDisposable {
  readonly paths: Readonly<Record<LoopName, string>>;
}

/** Bundles the workflows of both loops into a folder that is removed with the result. */
export async function bundleLoops(): Promise<Bundles> {
  const folder = await mkdtemp(join(tmpdir(), 'cadenza-bench-'));
  // The key is needed to make the provider, which is not used: only the plugin's bundling is.
  const plugin = new CadenzaPlugin({ agents: [reader], provider: openaiProvider({ apiKey: 'none' }) });
  const sources = {
    cadenza: { path: '../../src/workflows/no-user-workflows.ts', plugins: [plugin] },
    'hand-written': { path: './hand-written/workflows.ts', plugins: [] },
  };
  const bundle = async (loop: LoopName) => {
    const { path, plugins } = sources[loop];
    const workflowsPath = fileURLToPath(new URL(path, import.meta.url));
    const { code } = await bundleWorkflowCode({ workflowsPath, plugins, logger: new DefaultLogger('ERROR') });
    const file = join(folder, `${loop}.js`);
    await writeFile(file, code);
    return file;
  };
  return {
    paths: { cadenza: await bundle('cadenza'), 'hand-written': await bundle('hand-written') },
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }),
  };
}
