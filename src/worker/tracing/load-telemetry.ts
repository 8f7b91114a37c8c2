import type * as Api from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type * as Sdk from '@opentelemetry/sdk-trace';
import type {
  IdGenerator,
  Sampler,
  SpanExporter,
  SpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TracingOptions } from './tracing-options.ts';
import type { TracingEnvironment } from './tracing-environment.ts';
import { optionalPackage } from '../../installation/optional-package.ts';

/** OpenTelemetry as a worker uses it: its API, and a provider of its own, which leaves the process's global one alone. */
export interface Telemetry {
  api: typeof Api;
  provider: TracerProvider;
  ids: NextIds;
  /** Whether a trace that no caller began is sampled: the same for all its spans, on all workers. */
  samples(traceId: string): boolean;
}

/** Random ids, but for the next span, where somebody names it. */
export class NextIds implements IdGenerator {
  private readonly random: IdGenerator;
  private traceId: string | undefined;
  private spanId: string | undefined;

  constructor(random: IdGenerator) {
    this.random = random;
  }

  /** Names the one span that is started meanwhile. */
  naming<T>(traceId: string, spanId: string, start: () => T): T {
    this.traceId = traceId;
    this.spanId = spanId;
    try {
      return start();
    } finally {
      this.traceId = undefined;
      this.spanId = undefined;
    }
  }

  generateTraceId(): string {
    return this.traceId ?? this.random.generateTraceId();
  }

  generateSpanId(): string {
    return this.spanId ?? this.random.generateSpanId();
  }
}

/** Loads OpenTelemetry's packages, which only those who trace have installed, and sets them up. */
export async function loadTelemetry(
  options: TracingOptions,
  environment: TracingEnvironment,
): Promise<Telemetry> {
  const [api, sdk, resources] = await optionalPackage(
    'tracing',
    ['@opentelemetry/api', '@opentelemetry/sdk-trace', '@opentelemetry/resources'],
    async () =>
      await Promise.all([
        import('@opentelemetry/api'),
        import('@opentelemetry/sdk-trace'),
        import('@opentelemetry/resources'),
      ]),
  );
  const root = (options.sampler as Sampler | undefined) ?? samplerOf(sdk, environment);
  const ids = new NextIds(new sdk.RandomIdGenerator());
  const fromEnvironment = resources.detectResources({ detectors: [resources.envDetector] });
  const provider = new sdk.TracerProvider({
    idGenerator: ids,
    sampler: new sdk.ParentBasedSampler({ root }),
    resource:
      (options.resource as Resource | undefined) ??
      resources.resourceFromAttributes({ 'service.name': 'cadenza-worker' }).merge(fromEnvironment),
    spanProcessors: (options.spanProcessors as SpanProcessor[] | undefined) ?? [
      await processorOf(sdk, options, environment),
    ],
  });
  return {
    api,
    provider,
    ids,
    samples: (traceId) =>
      root.shouldSample(api.ROOT_CONTEXT, traceId, '', api.SpanKind.INTERNAL, {}, []).decision ===
      sdk.SamplingDecision.RECORD_AND_SAMPLED,
  };
}

function samplerOf(sdk: typeof Sdk, { sampler, ratio }: TracingEnvironment): Sampler {
  if (sampler === 'always_off') return new sdk.AlwaysOffSampler();
  return sampler === 'traceidratio' ? new sdk.TraceIdRatioBasedSampler(ratio) : new sdk.AlwaysOnSampler();
}

async function processorOf(
  sdk: typeof Sdk,
  { exporter }: TracingOptions,
  { gatherMs }: TracingEnvironment,
): Promise<SpanProcessor> {
  const to = (exporter as SpanExporter | undefined) ?? (await otlpExporter());
  return new sdk.BatchSpanProcessor({ exporter: to, scheduledDelayMillis: gatherMs });
}

async function otlpExporter() {
  const { OTLPTraceExporter } = await optionalPackage(
    'tracing',
    '@opentelemetry/exporter-trace-otlp-proto',
    async () => await import('@opentelemetry/exporter-trace-otlp-proto'),
  );
  // Where to and with which headers it reads from the environment itself.
  return new OTLPTraceExporter();
}
