import { appendFileSync } from 'node:fs';
import { defineAgent, defineTool } from 'cadenza';
import { createWorker, openaiProvider } from 'cadenza/worker';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { readPage, type PageRequest } from '../../history/book.ts';
import { reader } from '../../history/reader-agent.ts';
import type { PeerPlace } from '../peer-place.ts';

/** A worker as Cadenza's README sets it up, with everything on. */
export async function createContender({ address, taskQueue, baseURL, ledger }: PeerPlace) {
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'ERROR' } } });
  process.env.TEMPORAL_ADDRESS = address;
  const [tool] = reader.tools ?? [];
  const agent =
    ledger === undefined || !tool
      ? reader
      : defineAgent({ ...reader, tools: [defineTool({ ...(tool as object), execute: recorded } as never)] });
  function recorded(request: PageRequest): string {
    appendFileSync(ledger ?? '', `${request.page}\n`);
    return readPage(request);
  }
  const worker = await createWorker({
    agents: [agent],
    taskQueue,
    identity: `${process.pid}@bench`,
    shutdownGraceTime: 0,
    provider: openaiProvider({ baseURL, apiKey: 'none' }),
  });
  const running = worker.run();
  return {
    async stop() {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running;
    },
  };
}
