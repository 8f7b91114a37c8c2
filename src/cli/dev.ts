import { spawn } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { once } from 'node:events';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OFFLINE_MODEL_NOTICE, startOfflineModel } from '../dev/offline-model/start-offline-model.ts';
import { ensureTemporal } from '../dev/temporal/ensure-temporal.ts';
import type { GlobalOptions } from './connection.ts';
import { exitCodes, printLine, styled, UsageError, warn } from './terminal.ts';

/** Where the command looks for a server that nobody has named. */
const usualAddress = '127.0.0.1:7233';

const usualPlaces = ['src/agents', 'src/agents/index', 'agents', 'agents/index'].flatMap((place) => [
  `${place}.ts`,
  `${place}.js`,
]);

/**
 * A Temporal server, a worker that begins anew when one of its files changes, and a stand-in for a model where there is no key. Until it is
 * interrupted.
 */
export async function dev(
  named: string | undefined,
  options: GlobalOptions & { workflows?: string },
): Promise<number> {
  const agents = named ?? usualPlaces.find((place) => existsSync(place));
  if (agents === undefined || !existsSync(agents)) {
    throw new UsageError(
      agents === undefined
        ? `name the module that exports your agents; none of ${usualPlaces.join(', ')} is there`
        : `there is no file ${agents}`,
    );
  }
  const workflows = options.workflows ?? workflowsBeside(agents);
  const stopping = new AbortController();
  process.removeAllListeners('SIGINT');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());
  const temporal = await ensureTemporal({
    signal: stopping.signal,
    report: (line) => warn(styled('dim', line)),
  });
  const offline = process.env['OPENAI_API_KEY'] ? undefined : await startOfflineModel();
  const { taskQueue = 'cadenza' } = options;
  try {
    printLine(`Temporal   ${temporal.address}, namespace ${temporal.namespace}`);
    if (temporal.uiUrl !== undefined)
      printLine(
        `Web UI     ${temporal.uiUrl}/namespaces/${encodeURIComponent(temporal.namespace)}/workflows`,
      );
    printLine(`Workflows  ${workflows ?? 'none of your own (--workflows <file>)'}`);
    printLine(`Agents     ${agents}, on the task queue ${taskQueue}; reloaded when a file changes`);
    printLine(
      `Model      ${offline ? OFFLINE_MODEL_NOTICE : (process.env['OPENAI_MODEL'] ?? "the provider's default")}`,
    );
    const isUsual = !process.env['TEMPORAL_ADDRESS'] && temporal.address === usualAddress;
    const words = [
      'cadenza',
      ...(isUsual ? [] : ['--address', temporal.address]),
      ...(options.taskQueue === undefined ? [] : ['--task-queue', taskQueue]),
    ];
    await runWorkers(
      stopping.signal,
      { folder: dirname(resolve(agents)), command: words.join(' ') },
      {
        ...process.env,
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: temporal.namespace,
        CADENZA_AGENTS: resolve(agents),
        CADENZA_TASK_QUEUE: taskQueue,
        // A reload does not wait for calls under way: another worker takes them up.
        CADENZA_DRAIN_SECONDS: '1',
        CADENZA_DEVELOPMENT: '1',
        ...(options.storage !== undefined && { CADENZA_STORAGE: options.storage }),
        ...(options.archive !== undefined && { CADENZA_ARCHIVE: options.archive }),
        ...(workflows !== undefined && { CADENZA_WORKFLOWS: resolve(workflows) }),
        ...(offline && {
          OPENAI_API_KEY: 'none',
          OPENAI_BASE_URL: offline.baseURL,
          OPENAI_MODEL: offline.model,
        }),
      },
    );
  } finally {
    await offline?.close();
    await temporal.close();
  }
  return exitCodes.ok;
}

/** What a worker says once it has its agents: their names, and those among them that take text. */
interface ReadyMessage {
  agents?: string[];
  talkers?: string[];
}

/** A module of workflows in the folder of the agents, where people put it. */
function workflowsBeside(agents: string): string | undefined {
  return ['workflows.ts', 'workflows.js', 'workflows/index.ts', 'workflows/index.js']
    .map((name) => join(dirname(agents), name))
    .find((path) => existsSync(path));
}

/** Keeps a worker running, a new one after each change of a file, until the signal. */
async function runWorkers(
  signal: AbortSignal,
  { folder, command }: { folder: string; command: string },
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const main = fileURLToPath(new URL(`../worker/main.${extension}`, import.meta.url));
  // Node's own --watch posts messages into the SDK's worker threads, which then crash.
  const changes = watchFolder(folder);
  const stopped = once(signal, 'abort').then(() => 'stopped' as const);
  let change = changes.next();
  try {
    while (!signal.aborted) {
      const worker = spawn(process.execPath, [...process.execArgv, main], {
        env,
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      worker.on('message', ({ agents = [], talkers = [] }: ReadyMessage) => {
        // One that takes text can be asked anything.
        const [first = '<agent>'] = [...talkers, ...agents];
        printLine(`Ready      ${agents.join(', ')}: ${command} run ${first} "…", or chat ${first}`);
      });
      const ended = once(worker, 'exit').then(() => 'ended' as const);
      const first = await Promise.race([change, stopped, ended]);
      if (first === 'ended') {
        if (signal.aborted) return;
        warn(styled('red', 'the worker ended; it begins anew when a file changes'));
        if ((await Promise.race([change, stopped])) !== 'stopped') change = changes.next();
        continue;
      }
      if (first !== 'stopped') {
        printLine(styled('dim', `${first} changed: the worker begins anew`));
        change = changes.next();
      }
      worker.kill('SIGTERM');
      await ended;
    }
  } finally {
    changes.close();
  }
}

const ignored = /(^|[/\\])(node_modules|dist|\.[^/\\]+)([/\\]|$)|~$/;

/** Tells which file below a folder changed, once for changes that come together, also those that came while nobody asked. */
function watchFolder(folder: string): { next: () => Promise<string>; close: () => void } {
  let tell: ((file: string) => void) | undefined;
  let untold: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(folder, { recursive: true }, (_kind, file) => {
    if (file === null || ignored.test(file)) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (tell) tell(file);
      else untold = file;
      tell = undefined;
    }, 150);
  });
  return {
    next: async () => {
      const file = untold;
      untold = undefined;
      return file ?? (await new Promise<string>((settle) => (tell = settle)));
    },
    close: () => {
      clearTimeout(timer);
      watcher.close();
    },
  };
}
