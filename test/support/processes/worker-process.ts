import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const workerMain = fileURLToPath(new URL('../../../src/worker/main.ts', import.meta.url));

/** How a process ended: its exit code, or the signal that killed it. */
export interface ProcessEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process of a worker, as an operator would start it. */
export interface WorkerProcess {
  readonly pid: number;
  /** All it wrote so far, to either stream. */
  output(): string;
  /** Waits until the output holds the text; rejects, with the output, when the process ends before that. */
  said(text: string): Promise<void>;
  /** Waits until it takes work. */
  ready(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<ProcessEnd>;
  /** Kills it if it still runs, and waits for its end. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts `src/worker/main.ts`, or another program, on the Node of the tests, with these variables and none of the tests' own settings. */
export function startWorkerProcess(
  env: Record<string, string>,
  main = workerMain,
  nodeArguments = ['--conditions=cadenza-source'],
  ownArguments: string[] = [],
): WorkerProcess {
  const child = spawn(process.execPath, [...nodeArguments, main, ...ownArguments], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      OPENAI_API_KEY: 'test-key',
      OPENAI_MODEL: 'test-model',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return watch(child);
}

function watch(child: ChildProcess): WorkerProcess {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }) as ProcessEnd);
  const said = async (text: string): Promise<void> => {
    const ends = ended.then(() => 'ended' as const);
    while (!output.includes(text)) {
      const heard = Promise.race([once(child.stdout!, 'data'), once(child.stderr!, 'data')]);
      if ((await Promise.race([heard, ends])) === 'ended') {
        throw new Error(`The process ended without saying "${text}":\n${output}`);
      }
    }
  };
  return {
    pid: child.pid ?? -1,
    output: () => output,
    said,
    ready: async () => await said("state: 'RUNNING'"),
    kill: (signal) => void child.kill(signal),
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
