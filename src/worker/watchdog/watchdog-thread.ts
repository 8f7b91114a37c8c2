import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import type { Connection } from '@temporalio/client';
import type { WatchdogMemory, WatchdogMessage, WatchdogOptions } from './watchdog.ts';

/** How often the thread looks. */
const lookEveryMs = 500;
/** A loop that was silent for this long counts as blocked; heartbeats sent too early do no harm. */
const silentMs = 2_000;
const heartbeatEveryMs = 3_000;
/** Tools that began this shortly before the block are not yet followed through their awaits. */
const youngMs = 700;

type Activity = Extract<WatchdogMessage, { kind: 'start' }>;

const { options, memory, port } = workerData as {
  options: WatchdogOptions;
  memory: WatchdogMemory;
  port: MessagePort;
};
const { blockedMs = 10_000, giveUpMs = 60_000 } = options;
const activities = new Map<number, Activity>();
const failed = new Set<number>();
let connection: Promise<Connection> | undefined;
let beatAt = 0;
let gaveUp = false;

function look(): void {
  for (let entry = receiveMessageOnPort(port); entry; entry = receiveMessageOnPort(port)) {
    for (const message of entry.message as WatchdogMessage[]) {
      if (message.kind === 'start') activities.set(message.id, message);
      else {
        activities.delete(message.id);
        failed.delete(message.id);
      }
    }
  }
  const alive = Number(Atomics.load(memory.alive, 0));
  const silent = Date.now() - alive;
  if (silent < silentMs) {
    gaveUp = false;
    return;
  }
  const culprit = findCulprit(alive);
  if (silent >= blockedMs && culprit && !failed.has(culprit.id)) {
    failed.add(culprit.id);
    void failByName(culprit, silent);
  }
  if (silent >= giveUpMs) {
    if (!gaveUp)
      say(
        `the event loop has been blocked for ${silent} ms; its activities are given up. Restart this worker`,
      );
    gaveUp = true;
  } else if (Date.now() - beatAt >= heartbeatEveryMs) {
    beatAt = Date.now();
    for (const activity of activities.values()) if (!failed.has(activity.id)) void heartbeat(activity);
  }
}

/** The tool that blocks: the one whose code was running last, or the last to begin just before. */
function findCulprit(alive: number): Activity | undefined {
  const marked = activities.get(memory.current[0] ?? 0);
  if (marked) return marked.tool === undefined ? undefined : marked;
  const young = [...activities.values()].filter(
    ({ tool, at }) => tool !== undefined && at >= alive - youngMs,
  );
  return young.at(-1);
}

async function heartbeat({ token }: Activity): Promise<void> {
  await attempt(async (service) => {
    await service.recordActivityTaskHeartbeat({
      namespace: options.namespace,
      identity: options.identity,
      taskToken: token,
    });
  });
}

async function failByName({ token, tool }: Activity, silent: number): Promise<void> {
  const message = `the tool "${tool}" blocked its worker's event loop for more than ${Math.round(silent / 1000)} seconds; do long computations in a worker thread or a process`;
  say(message);
  await attempt(async (service) => {
    await service.respondActivityTaskFailed({
      namespace: options.namespace,
      identity: options.identity,
      taskToken: token,
      failure: {
        message,
        source: 'cadenza',
        applicationFailureInfo: { type: 'ToolBlockedWorker', nonRetryable: true },
      },
    });
  });
}

async function attempt(call: (service: Connection['workflowService']) => Promise<void>): Promise<void> {
  try {
    // Loaded when it is needed: most workers never are blocked, and the client takes memory.
    connection ??= import('@temporalio/client').then(
      async (client) => await client.Connection.connect(options.connection),
    );
    await call((await connection).workflowService);
  } catch (thrown) {
    // The activity may have ended meanwhile; what matters is tried again with the next look.
    const { code, message } = thrown as { code?: number; message?: string };
    if (code !== 5) say(`the watchdog could not reach Temporal: ${message}`);
    if (code === 14 || code === undefined) connection = undefined;
  }
}

/** Standard error by its descriptor: console output of a thread goes through the event loop that is blocked. */
function say(message: string): void {
  void import('node:fs').then((fs) => fs.writeSync(2, `cadenza: ${message}\n`));
}

setInterval(look, lookEveryMs);
