import { z } from 'zod';

/** Milliseconds for which ended spans are gathered: what a worker that is killed has gathered is lost. OpenTelemetry's own default is 5 s. */
const gatherMs = 200;

const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** The variables of OpenTelemetry's that are read here; the exporter and the resource read their own (`OTEL_EXPORTER_OTLP_…`, `OTEL_SERVICE_NAME`, …). */
const tracingSchema = z.object({
  OTEL_SDK_DISABLED: z.string().optional(),
  OTEL_TRACES_EXPORTER: z
    .enum(['otlp', 'none'], { error: 'set it to otlp or none; pass another exporter to createTracing()' })
    .optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .literal('http/protobuf', {
      error: 'only http/protobuf is spoken; pass another exporter to createTracing()',
    })
    .optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: z
    .literal('http/protobuf', {
      error: 'only http/protobuf is spoken; pass another exporter to createTracing()',
    })
    .optional(),
  OTEL_TRACES_SAMPLER: z
    .enum(samplers, { error: `set it to one of ${samplers.join(', ')}` })
    .default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_BSP_SCHEDULE_DELAY: z.coerce.number().int().min(0).max(60_000).default(gatherMs),
  OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: z.string().optional(),
});

/** How spans are sampled and exported, as OpenTelemetry's variables say. */
export interface TracingEnvironment {
  /** Whether the environment names a place for spans. */
  wanted: boolean;
  sampler: 'always_on' | 'always_off' | 'traceidratio';
  ratio: number;
  gatherMs: number;
  captureContent: boolean;
}

/** Reads OpenTelemetry's variables; throws a `TypeError` that lists every variable that is wrong. An empty one counts as not set. */
export function readTracingEnvironment(env: NodeJS.ProcessEnv = process.env): TracingEnvironment {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = tracingSchema.safeParse(set);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `  - ${issue.path.join('.')}: ${issue.message}`);
    throw new TypeError(`The worker cannot trace with this environment:\n${problems.join('\n')}`);
  }
  const { data } = parsed;
  const endpoint = data.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? data.OTEL_EXPORTER_OTLP_ENDPOINT;
  return {
    wanted: endpoint !== undefined && data.OTEL_TRACES_EXPORTER !== 'none' && !isTrue(data.OTEL_SDK_DISABLED),
    // A run below a caller's span is sampled as that is.
    sampler: data.OTEL_TRACES_SAMPLER.replace('parentbased_', '') as TracingEnvironment['sampler'],
    ratio: data.OTEL_TRACES_SAMPLER_ARG,
    gatherMs: data.OTEL_BSP_SCHEDULE_DELAY,
    captureContent: isTrue(data.OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT),
  };
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === 'true';
}
