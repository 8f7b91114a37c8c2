/**
 * The support desk on one machine: brings up whatever is missing (Temporal, a model, a worker). With a message it answers it and
 * ends; without one it stays up, with a page for it, until Ctrl-C.
 */
import { chooseModel } from '../launcher/choose-model.ts';
import { connectToTemporal } from '../launcher/local-temporal.ts';
import { runProgram, runWorker, UsageError } from '../launcher/run-program.ts';
import { untilStopped, waitForStop } from '../launcher/stop-signals.ts';
import { dim, print } from '../launcher/terminal.ts';
import { ask, taskQueue } from './client.ts';
import { startOfflineDesk } from './offline/offline-desk.ts';
import { serveBackend } from './serve.ts';
import { createSupportWorker } from './worker.ts';

await runProgram(
  async ({ signal, cleanup }) => {
    const [message, ...others] = process.argv.slice(2);
    if (others.length > 0) throw new UsageError('put the message in quotes');
    const model = await chooseModel(process.env, startOfflineDesk);
    cleanup.add(async () => await model.close());
    print(`Model: ${model.notice}`);
    const { client, namespace, nativeConnection } = await connectToTemporal(
      { taskQueue },
      { signal, cleanup },
    );
    const { provider, prices } = model;
    const options = {
      connection: nativeConnection,
      namespace,
      provider,
      prices,
      shutdownGraceTime: '2 seconds',
      development: true,
    };
    const worker = runWorker(await untilStopped(signal, createSupportWorker(options)), cleanup);
    if (message === undefined) {
      const backend = await serveBackend(client);
      cleanup.add(async () => await backend.close());
      const waiting = waitForStop(`The desk is open: ${backend.url}, or ask it with client.ts.`, signal);
      return await Promise.race([waiting, worker.failed]);
    }
    print();
    const answer = ask(client, message, (line) => print(dim(`  ${line}`)));
    print(`\n${await untilStopped(signal, Promise.race([answer, worker.failed]))}`);
  },
  { usage: 'Usage: main.ts ["message"]' },
);
