import type * as Api from '@opentelemetry/api';
import type { Attributes, Context as SpanContext, Span, Tracer } from '@opentelemetry/api';
import { Context } from '@temporalio/activity';
import {
  ApplicationFailure,
  CancelledFailure,
  defaultPayloadConverter,
  type Headers,
} from '@temporalio/common';
import type { ActivityInterceptorsFactory, InjectedSinks } from '@temporalio/worker';
import type { ModelReply } from '../../activities/models/model.ts';
import type { ActivityTracing, ChatCall } from '../../activities/observe/tracing.ts';
import {
  names,
  parseCallId,
  positionOf,
  type ExecuteToolInput,
  type ToolResult,
} from '../../protocol/protocol.ts';
import {
  isOwnTrace,
  parseCarrier,
  traceHeader,
  traceSink,
  type RunSpan,
  type TraceCarrier,
  type TraceContext,
  type TraceSinks,
} from '../../protocol/trace-context.ts';
import { HeldSpans } from './held-spans.ts';
import { loadTelemetry, type Telemetry } from './load-telemetry.ts';
import { answeredContent, askedContent, callContent, resultContent } from './span-content.ts';
import type { TracingOptions } from './tracing-options.ts';
import { readTracingEnvironment } from './tracing-environment.ts';

/** Tracing of one worker, made by {@link createTracing}: give it to `createWorker` or `CadenzaPlugin`, which end it with the worker. */
export interface Tracing {
  readonly activities: ActivityTracing;
  readonly interceptor: ActivityInterceptorsFactory;
  sinks(provider: string): InjectedSinks<TraceSinks>;
  /** Exports what is there, and no more. */
  shutdown(): Promise<void>;
}

/**
 * Spans for runs, turns, model calls and tool calls, by OpenTelemetry's conventions for generative AI.
 *
 * Needs the packages `@opentelemetry/api`, `@opentelemetry/sdk-trace`, `@opentelemetry/resources` and, without an exporter or processors of
 * one's own, `@opentelemetry/exporter-trace-otlp-proto`; throws an `Error` that names them where they are not installed, and a `TypeError`
 * that lists every variable of the environment that is wrong.
 */
export async function createTracing(options: TracingOptions = {}): Promise<Tracing> {
  const environment = readTracingEnvironment();
  const telemetry = await loadTelemetry(options, environment);
  return new WorkerTracing(telemetry, options.captureContent ?? environment.captureContent);
}

class WorkerTracing implements Tracing, ActivityTracing {
  private readonly api: typeof Api;
  private readonly telemetry: Telemetry;
  private readonly tracer: Tracer;
  private readonly content: boolean;
  private readonly held: HeldSpans;
  /** The span below which an activity's are; activities without one are of runs that began without tracing. */
  private readonly parents = new WeakMap<Context, SpanContext>();

  constructor(telemetry: Telemetry, content: boolean) {
    this.api = telemetry.api;
    this.telemetry = telemetry;
    this.tracer = telemetry.provider.getTracer('cadenza');
    this.content = content;
    this.held = new HeldSpans((span) => this.emit(span));
  }

  get activities(): ActivityTracing {
    return this;
  }

  sinks(provider: string): InjectedSinks<TraceSinks> {
    const fn = (_info: unknown, span: RunSpan) => this.held.hold(withProvider(span, provider));
    return { [traceSink]: { ended: { fn, callDuringReplay: false } } };
  }

  readonly interceptor: ActivityInterceptorsFactory = (context) => ({
    inbound: {
      execute: async (input, next) => {
        const carrier = carrierIn(input.headers);
        const parent = this.contextOf(parseCarrier(carrier));
        if (!parent) return await next(input);
        this.parents.set(context, parent);
        // Whatever a tool's own code is instrumented with goes below the same span.
        if (context.info.activityType !== names.executeTool)
          return await this.api.context.with(parent, async () => await next(input));
        const [call] = input.args as [ExecuteToolInput];
        return await this.tool(
          context,
          call,
          { parent, id: carrier?.['cadenza-call'] },
          async () => await next(input),
        );
      },
    },
  });

  async chat(call: ChatCall, ask: () => Promise<ModelReply>): Promise<ModelReply> {
    const context = Context.current();
    const parent = this.parents.get(context);
    if (!parent) return await ask();
    const { request, agent, turn, provider, named } = call;
    const settings = request as {
      temperature?: unknown;
      top_p?: unknown;
      max_completion_tokens?: unknown;
      max_output_tokens?: unknown;
    };
    const most = settings.max_completion_tokens ?? settings.max_output_tokens;
    const attributes: Attributes = {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': provider,
      'gen_ai.request.model': request.model,
      ...(typeof most === 'number' && { 'gen_ai.request.max_tokens': most }),
      ...(typeof settings.temperature === 'number' && { 'gen_ai.request.temperature': settings.temperature }),
      ...(typeof settings.top_p === 'number' && { 'gen_ai.request.top_p': settings.top_p }),
      ...(named !== undefined && { 'cadenza.provider': named }),
      ...placeOf(context, agent, turn),
      ...(this.content && askedContent(call)),
    };
    const kind = this.api.SpanKind.CLIENT;
    return await this.within(`chat ${request.model}`, { attributes, kind, parent }, async (span) => {
      const reply = await ask();
      span.setAttributes({ ...answerOf(reply), ...(this.content && answeredContent(reply)) });
      return reply;
    });
  }

  async shutdown(): Promise<void> {
    this.held.flush();
    // A collector that is away must not keep a worker from stopping.
    await this.telemetry.provider.shutdown().catch(() => undefined);
  }

  private async tool(
    context: Context,
    call: ExecuteToolInput,
    { parent, id }: { parent: SpanContext; id: string | undefined },
    execute: () => Promise<unknown>,
  ): Promise<unknown> {
    const position = positionOf(context.info.activityId);
    const turn = Number(parseCallId(position).reply.replace('turn-', ''));
    const attributes: Attributes = {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': call.tool,
      'gen_ai.tool.type': 'function',
      ...(id !== undefined && { 'gen_ai.tool.call.id': id }),
      'cadenza.call': position,
      ...placeOf(context, call.agent, turn),
      ...(this.content && callContent(call)),
    };
    return await this.within(`execute_tool ${call.tool}`, { attributes, parent }, async (span) => {
      const result = (await execute()) as ToolResult;
      const { error, refused, needsDecision, uncertain } = result;
      const outcome = needsDecision ? 'needs_decision' : uncertain ? 'uncertain' : refused && 'refused';
      if (outcome) span.setAttribute('cadenza.outcome', outcome);
      if (error || refused) this.fail(span, refused ? 'refused' : 'tool_error');
      if (this.content) span.setAttributes(resultContent(result));
      return result;
    });
  }

  private async within<T>(
    name: string,
    { attributes, kind, parent }: { attributes: Attributes; kind?: Api.SpanKind; parent: SpanContext },
    work: (span: Span) => Promise<T>,
  ): Promise<T> {
    const span = this.tracer.startSpan(name, { attributes, ...(kind !== undefined && { kind }) }, parent);
    try {
      return await this.api.context.with(this.api.trace.setSpan(parent, span), async () => await work(span));
    } catch (thrown) {
      this.fail(span, errorTypeOf(thrown));
      throw thrown;
    } finally {
      span.end();
    }
  }

  /** A failure by its type alone: its message may quote what people, models and tools say. */
  private fail(span: Span, type: string): void {
    span.setAttribute('error.type', type);
    span.setStatus({ code: this.api.SpanStatusCode.ERROR });
  }

  /** Makes the span that workflow code has told of. */
  private emit({ name, context, spanId, start, end, attributes, error }: RunSpan): void {
    const parent = this.contextOf(context);
    const options = {
      attributes,
      // A number below the process's own start would be taken for one since then.
      startTime: new Date(start),
    };
    const span = this.telemetry.ids.naming(context.traceId, spanId, () =>
      this.tracer.startSpan(name, options, parent ?? this.api.ROOT_CONTEXT),
    );
    if (error !== undefined) this.fail(span, error);
    span.end(new Date(end));
  }

  /** The parent that a place in a trace is; `undefined` at the root. */
  private contextOf(place: TraceContext | undefined): SpanContext | undefined {
    if (place?.spanId === undefined) return undefined;
    const { traceId, spanId, flags, state } = place;
    const own = isOwnTrace(place);
    const sampled = own ? this.telemetry.samples(traceId) : (Number.parseInt(flags, 16) & 1) === 1;
    const { api } = this;
    return api.trace.setSpanContext(api.ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags: sampled ? api.TraceFlags.SAMPLED : api.TraceFlags.NONE,
      isRemote: true,
      ...(!own && state !== undefined && { traceState: api.createTraceState(state) }),
    });
  }
}

/** The span of a run says whose model it asks, which workflow code does not know. */
function withProvider(span: RunSpan, provider: string): RunSpan {
  const { attributes } = span;
  if (attributes['gen_ai.operation.name'] !== 'invoke_agent') return span;
  return { ...span, attributes: { ...attributes, 'gen_ai.provider.name': provider } };
}

function carrierIn(headers: Headers): TraceCarrier | undefined {
  const payload = headers[traceHeader];
  return payload && defaultPayloadConverter.fromPayload<TraceCarrier>(payload);
}

function placeOf({ info }: Context, agent: string, turn: number): Attributes {
  const { workflowId = '', runId = '' } = info.workflowExecution ?? {};
  return {
    'gen_ai.agent.name': agent,
    'gen_ai.conversation.id': workflowId,
    'cadenza.turn': turn,
    'cadenza.attempt': info.attempt,
    temporalWorkflowId: workflowId,
    run_id: runId,
    temporalActivityId: info.activityId,
  };
}

function answerOf({ usage, stopped, model, id }: ModelReply): Attributes {
  const { input, output, cached, reasoning } = usage;
  return {
    'gen_ai.usage.input_tokens': input,
    'gen_ai.usage.output_tokens': output,
    ...(cached !== undefined && { 'gen_ai.usage.cache_read.input_tokens': cached }),
    ...(reasoning !== undefined && { 'gen_ai.usage.reasoning.output_tokens': reasoning }),
    'gen_ai.response.finish_reasons': [
      stopped === 'done' ? 'stop' : stopped === 'cut' ? 'length' : 'content_filter',
    ],
    ...(model !== undefined && { 'gen_ai.response.model': model }),
    ...(id !== undefined && { 'gen_ai.response.id': id }),
  };
}

function errorTypeOf(thrown: unknown): string {
  if (thrown instanceof CancelledFailure) return 'cancelled';
  if (thrown instanceof ApplicationFailure && thrown.type) return thrown.type;
  return thrown instanceof Error ? thrown.name : 'unknown';
}
