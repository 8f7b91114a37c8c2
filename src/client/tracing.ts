import type { WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { traceHeader, type TraceCarrier } from '../protocol/trace-context.ts';
import { optionalPackage } from '../installation/optional-package.ts';

/**
 * Puts the caller's active span into the header of every run that is started, so that the run belongs to the caller's trace. Makes no span
 * of its own. Does what is needed of Temporal's own client interceptor, and leaves a header that is there already alone.
 *
 * Throws an `Error` where `@opentelemetry/api` is not installed.
 */
export async function traceInterceptor(): Promise<WorkflowClientInterceptor> {
  const api = await optionalPackage(
    'tracing',
    '@opentelemetry/api',
    async () => await import('@opentelemetry/api'),
  );
  const traced = (headers: Headers): Headers => {
    const span = api.trace.getSpanContext(api.context.active());
    if (!span || !api.isSpanContextValid(span) || headers[traceHeader]) return headers;
    const state = span.traceState?.serialize();
    const carrier: TraceCarrier = {
      traceparent: `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`,
      ...(state && { tracestate: state }),
    };
    return { ...headers, [traceHeader]: defaultPayloadConverter.toPayload({ ...carrier }) };
  };
  return {
    startWithDetails: async (input, next) => await next({ ...input, headers: traced(input.headers) }),
    signalWithStart: async (input, next) => await next({ ...input, headers: traced(input.headers) }),
    startUpdateWithStart: async (input, next) =>
      await next({ ...input, workflowStartHeaders: traced(input.workflowStartHeaders) }),
  };
}
