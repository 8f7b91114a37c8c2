import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser } from '@prometheus-io/lezer-promql';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { parse } from 'yaml';
import { CadenzaClient } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer, type ModelServer } from '../../src/testing/model-server.ts';
import { composeServices } from '../support/compose-file.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const taskQueue = 'observed';

interface Panel {
  id: number;
  title: string;
  type: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { type: string; uid: string };
  targets?: { expr: string; datasource: { type: string; uid: string } }[];
}

interface Dashboard {
  uid: string;
  panels: Panel[];
  templating: { list: { name: string; query: { query: string } }[] };
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

const dashboard = JSON.parse(read('deploy/observe/dashboards/cadenza.json')) as Dashboard;
const { groups } = parse(read('deploy/observe/alerts.yaml')) as {
  groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
};

const queries = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ name: title, expr })),
  ),
  ...groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ name: alert, expr }))),
];

/** The expression as Prometheus is sent it. */
function filled(expr: string): string {
  return expr.replaceAll('$__rate_interval', '20s').replaceAll('$agent', '.*');
}

/** The metrics that an expression reads, and the labels by which it filters or groups. */
function usesOf(expr: string): { metrics: string[]; mistakes: string[] } {
  const text = filled(expr);
  const metrics: string[] = [];
  const mistakes: string[] = [];
  parser.parse(text).iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) mistakes.push(`${text.slice(0, from)}⚠${text.slice(from)}`);
      if (type.name === 'VectorSelector')
        metrics.push(/^[a-zA-Z_:][\w:]*/.exec(text.slice(from, to))?.[0] ?? '');
    },
  });
  return { metrics, mistakes };
}

let ledger: Ledger;
let server: ModelServer;
let worker: WorkerProcess;
/** What a worker that has run an agent with a tool serves to Prometheus. */
let metrics: string;

beforeAll(async () => {
  ledger = new Ledger();
  server = await createModelServer({
    respond: ({ messages }) =>
      messages.some(({ role }) => role === 'tool')
        ? { text: messages.slice(-1).map(messageText).join() }
        : { toolCalls: [{ name: 'read', arguments: { amount: 1 } }] },
  });
  worker = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    OPENAI_MODEL: 'gpt-5-mini',
    CADENZA_AGENTS: join(root, 'test/support/processes/crash-agents.ts'),
    CADENZA_TASK_QUEUE: taskQueue,
    CADENZA_HTTP_PORT: '0',
    CADENZA_APPROVALS_SECONDS: '1',
    TEST_LEDGER: ledger.folder,
  });
  await worker.said('Health and metrics at http://');
  const [, address = ''] = /Health and metrics at (http:\/\/[\d.:]+)/.exec(worker.output()) ?? [];
  const { client } = await connectToTemporal();
  await new CadenzaClient(client, taskQueue, async () => undefined).run('clerk', 'go');
  const complete = async () => {
    metrics = await (await fetch(`${address}/metrics`)).text();
    // The end of a run is counted with the workflow task that ends it, and who waits for people by a round of its own.
    return ['cadenza_runs_finished_total{', 'cadenza_approvals_waiting{'].filter(
      (name) => !metrics.includes(name),
    );
  };
  await vi.waitFor(async () => expect(await complete()).toEqual([]), { timeout: 60_000, interval: 500 });
}, 300_000);

afterAll(async () => {
  await worker?.[Symbol.asyncDispose]();
  await server?.close();
  ledger?.[Symbol.dispose]();
});

test.each(queries)(
  '$name asks in words that Prometheus understands, for metrics that there are',
  ({ expr }) => {
    const { metrics: names, mistakes } = usesOf(expr);
    expect(mistakes).toEqual([]);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      // Prometheus' own, one for each target.
      if (name === 'up') continue;
      // It has no series before the first failure; its name is the SDK's.
      if (name === 'temporal_request_failure') continue;
      expect(metrics, name).toMatch(new RegExp(`^${name}(\\{| )`, 'm'));
    }
  },
);

test('a mistake in a query would be found', () => {
  expect(usesOf('sum by (agent (rate(cadenza_turns_total[5m])))').mistakes).not.toEqual([]);
  expect(usesOf('sum(rate(cadenza_turns_total[5m]))')).toEqual({
    metrics: ['cadenza_turns_total'],
    mistakes: [],
  });
});

/** Labels that a histogram has, or that Prometheus gives to all that it reads. */
const prometheusOwn = ['le', 'job', 'instance'];

test('the labels by which the dashboard splits its series are those of the metrics', () => {
  for (const { expr } of queries) {
    const { metrics: names } = usesOf(expr);
    const labels = [...expr.matchAll(/by \(([\w, ]+)\)/g)].flatMap(([, list = '']) => list.split(/, ?/));
    const filters = [...expr.matchAll(/[{,](\w+)(?:=~?|!~?=?)"/g)].map(([, label = '']) => label);
    for (const label of [...labels, ...filters].filter((each) => !prometheusOwn.includes(each))) {
      const line = names
        .filter((name) => name !== 'temporal_request_failure')
        .map((name) => new RegExp(`^${name}\\{.*$`, 'm').exec(metrics)?.[0] ?? '')
        .join('\n');
      if (line !== '') expect(line, expr).toContain(`${label}="`);
    }
  }
});

test("the dashboard's panels have a data source that is provisioned, and do not cover each other", () => {
  const { datasources } = parse(read('deploy/observe/grafana/datasources/prometheus.yaml')) as {
    datasources: { uid: string; type: string; url: string }[];
  };
  const services = composeServices();
  for (const { url } of datasources) expect(Object.keys(services)).toContain(new URL(url).hostname);
  const cells = new Set<string>();
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  for (const { title, gridPos, targets = [] } of dashboard.panels) {
    for (const { datasource } of targets)
      expect(datasources.map(({ uid, type }) => `${type} ${uid}`)).toContain(
        `${datasource.type} ${datasource.uid}`,
      );
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(cells.has(`${x},${y}`), title).toBe(false);
        cells.add(`${x},${y}`);
      }
    }
  }
});

test('what the observers are told to look at are services of the compose file, and files that exist', () => {
  const services = composeServices();
  const prometheus = read('deploy/observe/prometheus.yaml');
  const { scrape_configs: jobs, rule_files: rules } = parse(prometheus) as {
    rule_files: string[];
    scrape_configs: {
      job_name: string;
      dns_sd_configs?: { names: string[] }[];
      static_configs?: { targets: string[] }[];
    }[];
  };
  for (const name of rules) expect(read(`deploy/observe/${name}`)).not.toBe('');
  const targets = jobs.flatMap(({ dns_sd_configs: dns = [], static_configs: fixed = [] }) => [
    ...dns.flatMap(({ names }) => names),
    ...fixed.flatMap((each) => each.targets.map((target) => target.split(':')[0] ?? '')),
  ]);
  expect(targets.toSorted()).toEqual(['otel-collector', 'temporal', 'worker']);
  for (const target of targets) expect(Object.keys(services)).toContain(target);
  const { receivers, processors, exporters, service } = parse(read('deploy/observe/otel-collector.yaml')) as {
    receivers: object;
    processors: object;
    exporters: Record<string, { endpoint: string }>;
    service: {
      pipelines: Record<string, { receivers: string[]; processors: string[]; exporters: string[] }>;
    };
  };
  for (const pipeline of Object.values(service.pipelines)) {
    for (const each of pipeline.receivers) expect(Object.keys(receivers)).toContain(each);
    for (const each of pipeline.processors) expect(Object.keys(processors)).toContain(each);
    for (const each of pipeline.exporters) expect(Object.keys(exporters)).toContain(each);
  }
  for (const { endpoint } of Object.values(exporters))
    expect(Object.keys(services)).toContain(endpoint.split(':')[0]);
});
