import { once } from 'node:events';
import { print } from './terminal.ts';

/** Why a program stops early. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
  /** What the process should end with. */
  readonly exitCode: number;

  constructor(reason: string, exitCode: number) {
    super(`Stopped by ${reason}`);
    this.exitCode = exitCode;
  }
}

/** npm passes on a Ctrl-C that the terminal has already sent to us: what comes so soon is no second one. */
const echoMs = 1_000;
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/**
 * A signal that is aborted when the program is asked to stop: by Ctrl-C, by the system, or because nobody reads what it prints
 * any more. Asked a second time, it ends at once.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let askedAt: number | undefined;
  const stop = (reason: string, exitCode: number): void => {
    if (askedAt !== undefined && Date.now() - askedAt > echoMs) process.exit(exitCode);
    askedAt ??= Date.now();
    controller.abort(new Stopped(reason, exitCode));
  };
  for (const [name, exitCode] of Object.entries(exitCodes)) {
    process.on(name, () => stop(name === 'SIGINT' ? 'Ctrl-C' : name, exitCode));
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => controller.abort(new Stopped('the end of its output', 1)));
  }
  return controller.signal;
}

/** What the work comes to, or the signal's reason as soon as it is aborted; the work then goes on unheard. */
export async function untilStopped<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  signal.throwIfAborted();
  let leave: (() => void) | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    if (leave) signal.removeEventListener('abort', leave);
  }
}

/** Says so, and waits until the program is asked to stop. */
export async function waitForStop(line: string, signal: AbortSignal): Promise<void> {
  print(`${line}\nCtrl-C ends this.`);
  // Nothing else need keep the process alive in the meantime.
  const awake = setInterval(() => undefined, 60_000);
  try {
    if (!signal.aborted) await once(signal, 'abort');
    print('Ending what was started…');
  } finally {
    clearInterval(awake);
  }
}
