import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Runtime } from '@temporalio/worker';
import { createLogger, type LogOptions } from './logging.ts';

/** Models and slow tools take from tenths of a second to many minutes. */
const callSeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1_200];

/** Where the process's metrics can be read. */
export interface Telemetry {
  /** All metrics as Prometheus reads them; `undefined` where there are none. */
  metrics?: () => Promise<string>;
}

/** Sets Temporal's Runtime up, once for the process and before anything else uses it: logs in one form, and metrics if they are wanted. */
export async function startTelemetry(log: LogOptions, withMetrics: boolean): Promise<Telemetry> {
  const logging = {
    forward: {},
    // What the native part tells at INFO is for those who work on it.
    filter: { core: log.level === 'INFO' ? 'WARN' : log.level, other: 'ERROR' },
  } as const;
  const logger = createLogger(log);
  if (!withMetrics) {
    Runtime.install({ logger, telemetryOptions: { logging } });
    return {};
  }
  // Temporal's exporter wants a port of its own and has no health checks; it stays on the loopback interface behind the process's endpoint.
  const port = await freePort();
  Runtime.install({
    logger,
    telemetryOptions: {
      logging,
      metrics: {
        prometheus: {
          bindAddress: `127.0.0.1:${port}`,
          useSecondsForDurations: true,
          histogramBucketOverrides: {
            cadenza_model_call_seconds: callSeconds,
            cadenza_tool_call_seconds: callSeconds,
          },
        },
      },
    },
  });
  return {
    metrics: async () => {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`, {
        signal: AbortSignal.timeout(5_000),
      });
      if (!response.ok) throw new Error(`the exporter answered with ${response.status}`);
      return asCounter(await response.text());
    },
  };
}

/** The one sum that Temporal's meter can only keep as a gauge: it takes whole numbers in counters. */
function asCounter(text: string): string {
  return text.replace(/^# TYPE cadenza_cost_usd_total gauge$/m, '# TYPE cadenza_cost_usd_total counter');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
