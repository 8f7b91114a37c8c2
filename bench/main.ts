/** `npm run bench -- NAME [options]` runs a benchmark; `--help` lists them. Exits with 1 where one misses a goal. */
import '../src/installation/node-version.ts';

interface Benchmark {
  readonly summary: string;
  readonly options: string;
  /** Returns whether every goal was met. */
  run(args: readonly string[]): Promise<boolean>;
}

const benchmarks: Readonly<Record<string, Benchmark>> = {
  page: {
    summary: 'writes results that --json has stored into docs/benchmarks.md, with plots',
    options: 'FILE…',
    run: async (args) => (await import('./page/write-page.ts')).writePage(args),
  },
  history: {
    summary:
      'bytes of history, time, CPU and memory a turn, against a hand-written loop that sends the whole transcript',
    options: '[--quick] [--json FILE] [--profile FOLDER]',
    run: async (args) => (await import('./history/history.ts')).runHistory(args),
  },
  load: {
    summary:
      '1,000 runs of 10 turns, 200 at once, on one worker and on two; or a steady load, or idle runs, and what they take of memory',
    options: '[--quick] [--soak MINUTES] [--idle RUNS] [--json FILE]',
    run: async (args) => (await import('./load/load.ts')).runLoad(args),
  },
  peers: {
    summary:
      'the same work on other libraries for durable agents: stored bytes, time, CPU, starts, a crash, a long conversation',
    options: '[--quick] [--json FILE]',
    run: async (args) => (await import('./peers/peers.ts')).runPeers(args),
  },
};

async function main([name, ...args]: readonly string[]): Promise<number> {
  const benchmark = benchmarks[name ?? ''];
  if (benchmark && !args.includes('--help')) return (await benchmark.run(args)) ? 0 : 1;
  const asked = name === undefined || name === '--help' || benchmark !== undefined;
  const help = Object.entries(benchmarks).map(
    ([known, { summary, options }]) => `  ${known} ${options}\n      ${summary}\n`,
  );
  const usage = `npm run bench -- NAME [options]\n\n${help.join('')}`;
  if (asked) process.stdout.write(usage);
  else process.stderr.write(`There is no benchmark "${name}".\n\n${usage}`);
  return asked ? 0 : 2;
}

process.exitCode = await main(process.argv.slice(2));
