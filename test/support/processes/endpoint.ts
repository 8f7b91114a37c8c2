import type { WorkerProcess } from './worker-process.ts';

/** What a worker process with `CADENZA_HTTP_PORT=0` answers. */
export interface Endpoint {
  get(path: string): Promise<{ status: number; body: string }>;
  /** Waits until it takes work. */
  ready(): Promise<void>;
  /** All series of the metrics at this moment. */
  metrics(): Promise<Series[]>;
  /** The sum of a metric's series that have these labels. */
  sum(name: string, labels?: Record<string, string>): Promise<number>;
}

export interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Finds the endpoint by what the worker says when it starts. */
export async function endpointOf(worker: WorkerProcess): Promise<Endpoint> {
  await worker.said('Health and metrics at ');
  const line = /Health and metrics at (http:\/\/[\d.:]+\d)/;
  while (!line.test(worker.output())) await new Promise((resolve) => setTimeout(resolve, 10));
  const [, url = ''] = line.exec(worker.output()) ?? [];
  const get = async (path: string) => {
    const response = await fetch(url + path, { headers: { connection: 'close' } });
    return { status: response.status, body: await response.text() };
  };
  const metrics = async () => parse((await get('/metrics')).body);
  return {
    get,
    metrics,
    async ready() {
      while ((await get('/readyz')).status !== 200) await new Promise((resolve) => setTimeout(resolve, 100));
    },
    async sum(name, labels = {}) {
      const all = (await metrics()).filter(
        (series) =>
          series.name === name &&
          Object.entries(labels).every(([label, value]) => series.labels[label] === value),
      );
      return all.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

function parse(text: string): Series[] {
  return text
    .split('\n')
    .map((line) => /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = '', labels = '', value = '']) => ({
      name,
      labels: Object.fromEntries(
        [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', of = '']) => [label, of]),
      ),
      value: Number(value),
    }));
}
