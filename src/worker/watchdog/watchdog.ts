import { AsyncLocalStorage, createHook, type AsyncHook } from 'node:async_hooks';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import type { ConnectionOptions } from '@temporalio/client';
import { modulePath } from '../../installation/module-path.ts';
import type { ActivityWatch, TrackedActivity } from '../../activities/observe/activity-watch.ts';

/** How the watchdog's own thread reaches Temporal, and how patient it is. */
export interface WatchdogOptions {
  /** The same server as the worker's; plain data, as it crosses to a thread. */
  connection: ConnectionOptions;
  namespace: string;
  identity: string;
  /** Milliseconds of a blocked event loop after which the tool that blocks it fails. Default 10,000. */
  blockedMs?: number;
  /** Milliseconds after which the other activities are given up too, for other workers to take. Default 60,000. */
  giveUpMs?: number;
}

/** What the thread is told. Times in milliseconds since the epoch. */
export type WatchdogMessage =
  { kind: 'start'; id: number; token: Uint8Array; tool?: string; at: number } | { kind: 'end'; id: number };

/** What both threads see, beside the messages. */
export interface WatchdogMemory {
  /** When the event loop last ran, as milliseconds since the epoch. */
  alive: BigInt64Array;
  /** The tool whose code runs now, by its message's id; 0 for none. */
  current: Int32Array;
}

const aliveEveryMs = 500;
/** A tool under way for this long is followed through its awaits; most are done before, and cost nothing. */
const followAfterMs = 100;

/**
 * Watches the worker's event loop from a thread of its own. While a tool blocks it, the thread sends the heartbeats of the
 * other activities, and fails the tool by name.
 */
export class Watchdog implements ActivityWatch {
  private readonly storage = new AsyncLocalStorage<number>();
  private readonly memory: WatchdogMemory = {
    alive: new BigInt64Array(new SharedArrayBuffer(8)),
    current: new Int32Array(new SharedArrayBuffer(4)),
  };
  private readonly port: MessagePort;
  private readonly thread: Worker;
  private readonly timer: NodeJS.Timeout;
  private readonly follow: AsyncHook;
  private followed = 0;
  private last = 0;
  /** What the thread has not been told yet. */
  private untold: WatchdogMessage[] = [];

  constructor(options: WatchdogOptions) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.port.unref();
    this.tick();
    this.thread = new Worker(modulePath('./watchdog-thread', import.meta.url), {
      workerData: { options, memory: this.memory, port: port2 },
      transferList: [port2],
    });
    this.thread.unref();
    this.timer = setInterval(() => this.tick(), aliveEveryMs).unref();
    this.follow = createHook({ before: () => this.mark(this.storage.getStore() ?? 0) });
  }

  track(token: Uint8Array, tool?: string): TrackedActivity {
    const id = ++this.last;
    this.untold.push({ kind: 'start', id, token, ...(tool !== undefined && { tool }), at: Date.now() });
    let following = false;
    const timer = setTimeout(() => {
      following = true;
      this.setFollowed(this.followed + 1);
    }, followAfterMs).unref();
    if (tool === undefined) clearTimeout(timer);
    return {
      run: (work) => this.storage.run(id, () => this.enter(id, work)),
      end: () => {
        clearTimeout(timer);
        if (following) this.setFollowed(this.followed - 1);
        this.untold.push({ kind: 'end', id });
      },
    };
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.follow.disable();
    await this.thread.terminate();
    this.port.close();
  }

  /** A message costs as much as a tenth of a turn's bookkeeping, so that they are sent together: before a tool can block the loop, and twice a second. */
  private tell(): void {
    if (this.untold.length === 0) return;
    this.port.postMessage(this.untold);
    this.untold = [];
  }

  private tick(): void {
    this.tell();
    Atomics.store(this.memory.alive, 0, BigInt(Date.now()));
  }

  private mark(id: number): void {
    this.memory.current[0] = id;
  }

  private enter<T>(id: number, work: () => T): T {
    this.tell();
    this.mark(id);
    try {
      return work();
    } finally {
      this.mark(0);
    }
  }

  private setFollowed(count: number): void {
    this.followed = count;
    if (count === 1) this.follow.enable();
    if (count > 0) return;
    this.follow.disable();
    this.mark(0);
  }
}
