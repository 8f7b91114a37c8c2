import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a {@link startChild} process is. It answers every message with one message, and ends when its channel closes. */
export interface Child<Answer> {
  /** Its first message, sent when it is ready. */
  readonly ready: Answer;
  /** Asks how it stands. */
  ask(): Promise<Answer>;
  /** Milliseconds from its start until it was ready. */
  readonly startMs: number;
  /** Closes the channel and waits for its end. */
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

export interface ChildOptions {
  readonly args?: readonly string[];
  /** Besides `PATH` and the like; settings of the user's own for Temporal or a model provider must not reach a benchmark. */
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeOptions?: readonly string[];
  /** Runs the build in `dist/`, as those who install the package do, instead of the sources. */
  readonly built?: boolean;
  /** Throws away what it prints. */
  readonly quiet?: boolean;
}

const inherited = ['PATH', 'Path', 'SystemRoot', 'TMPDIR', 'TEMP'];

/** Runs a module as a process of its own, so that its CPU time and memory are its own. Rejects when it ends before it is ready. */
export async function startChild<Answer>(module: URL, options: ChildOptions = {}): Promise<Child<Answer>> {
  const base = Object.fromEntries(
    inherited.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
  const startedAt = performance.now();
  const child = fork(fileURLToPath(module), options.args, {
    env: { ...base, ...options.env },
    execArgv: [...(options.built ? [] : ['--conditions=cadenza-source']), ...(options.nodeOptions ?? [])],
    stdio: ['ignore', options.quiet ? 'ignore' : 'inherit', 'inherit', 'ipc'],
  });
  const gone = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${module.pathname} ended by itself: ${code ?? signal}`);
  });
  // Whoever waits for an answer learns of it; without anybody waiting, the next question does.
  gone.catch(() => undefined);
  const answer = async (): Promise<Answer> => {
    const [message] = (await Promise.race([once(child, 'message'), gone])) as [Answer];
    return message;
  };
  const ready = await answer();
  return {
    ready,
    startMs: performance.now() - startedAt,
    async ask() {
      const answered = answer();
      child.send('?');
      return await answered;
    },
    async stop() {
      if (child.connected) child.disconnect();
      await gone.catch(() => undefined);
    },
    async kill() {
      child.kill('SIGKILL');
      await gone.catch(() => undefined);
    },
  };
}

/** The other end of {@link startChild}: says that this process is ready, and answers until the parent is done with it, or dead. */
export async function serveParent<Answer>(answer: () => Answer): Promise<void> {
  process.on('message', () => process.send?.(answer()));
  process.send?.(answer());
  await once(process, 'disconnect');
}
