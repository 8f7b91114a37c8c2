/** A contender's worker as a process of its own: `peer-process.ts CONTENDER`, told where it works by `BENCH_PLACE`. */
import { serveParent } from '../support/child.ts';
import type { PeerPlace } from './peer-place.ts';
import type { PeerWorker } from './others/peer-worker.ts';

/** What the process answers: what it has used so far, its start included. */
export interface PeerUsage {
  cpuMs: number;
  rssBytes: number;
  peakRssBytes: number;
  url?: string;
}

const [name] = process.argv.slice(2);
const place = JSON.parse(process.env.BENCH_PLACE ?? '{}') as PeerPlace;
const contender = (await import(`./${name}/worker.ts`)) as {
  createContender(place: PeerPlace): Promise<PeerWorker>;
};
const worker = await contender.createContender(place);
await serveParent<PeerUsage>(() => {
  const { user, system } = process.cpuUsage();
  return {
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
    ...(worker.url !== undefined && { url: worker.url }),
  };
});
await worker.stop();
process.exit();
