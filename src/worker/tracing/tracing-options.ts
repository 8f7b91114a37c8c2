/** OpenTelemetry's `SpanExporter`. By its shape, as the three below are, so that its packages are needed by those who trace alone. */
interface SpanExporter {
  export(spans: never[], done: never): void;
  shutdown(): Promise<void>;
}

/** OpenTelemetry's `SpanProcessor`. */
interface SpanProcessor {
  onStart(span: never, parent: never): void;
  onEnd(span: never): void;
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}

/** OpenTelemetry's `Sampler`. */
interface Sampler {
  shouldSample(
    context: never,
    traceId: string,
    name: string,
    kind: never,
    attributes: never,
    links: never,
  ): { decision: number };
  toString(): string;
}

/** OpenTelemetry's `Resource`. */
interface Resource {
  readonly attributes: object;
  merge(other: never): unknown;
}

/** The argument of `createTracing`. */
export interface TracingOptions {
  /** Where ended spans go. Default: by OTLP over HTTP to `OTEL_EXPORTER_OTLP_ENDPOINT`, or to the collector on this machine. */
  exporter?: SpanExporter;
  /** Instead of an exporter: OpenTelemetry's processors, which export as they like. */
  spanProcessors?: SpanProcessor[];
  /** Decides about traces that no caller began. Default: as `OTEL_TRACES_SAMPLER` says, or all. A run below a caller's span is sampled as that is. */
  sampler?: Sampler;
  /** Who the spans are of. Default: as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, or `cadenza-worker`. */
  resource?: Resource;
  /**
   * Whether spans hold what models, tools and people say, up to 64 Ki characters an attribute. Default: as
   * `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says, or `false`.
   */
  captureContent?: boolean;
}
