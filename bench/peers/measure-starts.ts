import { median } from '../support/median.ts';
import type { Contender } from './contenders.ts';
import type { Site } from './site.ts';

/** How a contender's process begins. */
export interface StartFigures {
  /** Bytes of the workflow bundle; absent where there is none. */
  bundleBytes?: number;
  /** From the process's start until it polls, with the bundle made beforehand. */
  msWithBundle: number;
  cpuMsWithBundle: number;
  /** The same where the worker bundles its workflows itself, as it does by default. */
  ms: number;
  cpuMs: number;
}

/** Starts each contender several times, in turn. */
export async function measureStarts(
  rounds: number,
  site: Site,
): Promise<Partial<Record<Contender['name'], StartFigures>>> {
  const figures: Partial<Record<Contender['name'], StartFigures>> = {};
  const distinct = site.contenders.filter(
    ({ folder }, index, all) => all.findIndex((other) => other.folder === folder) === index,
  );
  const samples = new Map(distinct.map((each) => [each, { bundled: [] as Start[], itself: [] as Start[] }]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of round % 2 === 0 ? distinct : distinct.toReversed()) {
      samples.get(contender)?.bundled.push(await start(contender, site, {}));
      samples.get(contender)?.itself.push(await start(contender, site, { bundle: undefined }));
    }
  }
  for (const [{ name, folder }, { bundled, itself }] of samples) {
    const bundle = site.bundles.get(folder);
    figures[name] = {
      ...(bundle && { bundleBytes: bundle.bytes }),
      msWithBundle: median(bundled.map(({ ms }) => ms)),
      cpuMsWithBundle: median(bundled.map(({ cpuMs }) => cpuMs)),
      ms: median(itself.map(({ ms }) => ms)),
      cpuMs: median(itself.map(({ cpuMs }) => cpuMs)),
    };
  }
  return figures;
}

interface Start {
  ms: number;
  cpuMs: number;
}

async function start(contender: Contender, site: Site, options: { bundle?: undefined }): Promise<Start> {
  const { child } = await site.start(contender, options);
  const { startMs: ms, ready } = child;
  await child.stop();
  return { ms, cpuMs: ready.cpuMs };
}
