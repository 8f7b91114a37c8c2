import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { context, propagation, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AlwaysOffSampler,
  TracerProvider,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { OpenTelemetryWorkflowClientInterceptor } from '@temporalio/interceptors-opentelemetry';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { createClient } from 'cadenza/client';
import { createTracing, type Tracing, type TracingOptions } from 'cadenza/worker';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { spanIdOf, traceSink, type RunSpan } from '../../src/protocol/trace-context.ts';
import { HeldSpans } from '../../src/worker/tracing/held-spans.ts';
import { readTracingEnvironment } from '../../src/worker/tracing/tracing-environment.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { connectToSoon, connectToTemporal } from '../support/temporal.ts';

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});
afterAll(() => {
  context.disable();
  propagation.disable();
});

/** Tracing whose spans are kept here. */
async function traced(options: TracingOptions = {}): Promise<{ spans: ReadableSpan[]; tracing: Tracing }> {
  const spans: ReadableSpan[] = [];
  const exporter: SpanExporter = {
    export(ended, done) {
      spans.push(...ended);
      done({ code: 0 });
    },
    shutdown: async () => undefined,
  };
  return { spans, tracing: await createTracing({ exporter, ...options }) };
}

const named = (spans: ReadableSpan[], name: string) => spans.filter((span) => span.name === name);
const arrived = async (spans: ReadableSpan[], name: string, count = 1) =>
  await vi.waitFor(() => expect(named(spans, name)).toHaveLength(count), { timeout: 20_000 });

const shout = defineTool({
  name: 'shout',
  description: 'Shouts.',
  input: z.object({ text: z.string() }),
  effect: 'read',
  execute: ({ text }) => text.toUpperCase(),
});
const crier = defineAgent({ name: 'crier', instructions: 'Cry.', tools: [shout] });
const respond = scriptedModel([
  { toolCalls: [{ name: 'shout', arguments: { text: 'hear ye' } }] },
  { text: 'all was said' },
]);

test.each(["Cadenza's own client", "Temporal's own client interceptor"])(
  "a run that is started within a caller's span belongs to the caller's trace: %s",
  async (how) => {
    const { spans, tracing } = await traced();
    await using harness = await startHarness({ agents: [crier], respond, tracing });
    const { connection, namespace } = await connectToTemporal();
    const tracer = new TracerProvider().getTracer('caller');
    const client = how.startsWith('Cadenza')
      ? await createClient({ connection, namespace, taskQueue: harness.taskQueue, tracing: true })
      : await createClient({
          connection,
          namespace,
          taskQueue: harness.taskQueue,
          interceptors: { workflow: [new OpenTelemetryWorkflowClientInterceptor({ tracer })] },
        });
    const caller = tracer.startSpan('request');
    await context.with(trace.setSpan(context.active(), caller), async () => await client.run(crier, 'Go.'));
    caller.end();
    await arrived(spans, 'invoke_agent crier');
    const [run] = named(spans, 'invoke_agent crier');
    const { traceId, spanId } = caller.spanContext();
    expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([traceId]));
    // Temporal's interceptor puts a span of its own between the two.
    if (how.startsWith('Cadenza')) expect(run?.parentSpanContext?.spanId).toBe(spanId);
    else expect(run?.parentSpanContext?.spanId).toMatch(/^[0-9a-f]{16}$/);
  },
);

test('a caller whose span is not sampled has runs without spans', async () => {
  const { spans, tracing } = await traced();
  await using harness = await startHarness({ agents: [crier], respond, tracing });
  const { connection, namespace } = await connectToTemporal();
  const client = await createClient({ connection, namespace, taskQueue: harness.taskQueue, tracing: true });
  const tracer = new TracerProvider({ sampler: new AlwaysOffSampler() }).getTracer('caller');
  const span = tracer.startSpan('request');
  await context.with(trace.setSpan(context.active(), span), async () => await client.run(crier, 'Go.'));
  await client.run(crier, 'Go on your own.');
  await arrived(spans, 'invoke_agent crier');
  expect(new Set(spans.map((each) => each.spanContext().traceId)).size).toBe(1);
  expect(named(spans, 'turn 1')).toHaveLength(1);
});

test('a trace is sampled as a whole or not at all, by its id', async () => {
  const wanted = new Set<string>();
  const sampler = {
    shouldSample: (_context: never, traceId: string) => ({ decision: wanted.has(traceId) ? 2 : 0 }),
    toString: () => 'wanted',
  };
  const { spans, tracing } = await traced({ sampler });
  const opened = gate();
  await using harness = await startHarness({
    agents: [crier],
    respond: async (request) => {
      await opened.opened;
      return await respond(request);
    },
    tracing,
  });
  const [one, two] = [await harness.client.start(crier, 'One.'), await harness.client.start(crier, 'Two.')];
  const traceId = (one.runId ?? '').replaceAll('-', '');
  wanted.add(traceId);
  opened.open();
  await Promise.all([one.result(), two.result()]);
  await arrived(spans, 'invoke_agent crier');
  expect(spans.map(({ name }) => name).toSorted()).toEqual([
    'chat test-model',
    'chat test-model',
    'execute_tool shout',
    'invoke_agent crier',
    'turn 1',
    'turn 2',
  ]);
  expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([traceId]));
});

test('content is in spans where it is asked for, and only there', async () => {
  const { spans, tracing } = await traced({ captureContent: true });
  await using harness = await startHarness({ agents: [crier], respond, tracing });
  await harness.client.run(crier, 'Tell them.');
  await arrived(spans, 'invoke_agent crier');
  const [tool] = named(spans, 'execute_tool shout');
  expect(tool?.attributes).toMatchObject({
    'gen_ai.tool.call.arguments': '{"text":"hear ye"}',
    'gen_ai.tool.call.result': 'HEAR YE',
  });
  const last = named(spans, 'chat test-model').find(({ attributes }) => attributes['cadenza.turn'] === 2);
  expect(last?.attributes['gen_ai.input.messages']).toContain('Tell them.');
  expect(JSON.parse(String(last?.attributes['gen_ai.output.messages']))).toEqual([
    { role: 'assistant', parts: [{ type: 'text', content: 'all was said' }], finish_reason: 'stop' },
  ]);
});

test("a tool's own spans are below its call", async () => {
  const { spans, tracing } = await traced();
  let seen: string | undefined;
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({}),
    effect: 'read',
    execute: () => {
      seen = trace.getActiveSpan()?.spanContext().spanId;
      return 'seen';
    },
  });
  const looker = defineAgent({ name: 'looker', instructions: 'Look.', tools: [look] });
  await using harness = await startHarness({
    agents: [looker],
    respond: scriptedModel([{ toolCalls: [{ name: 'look', arguments: {} }] }, { text: 'done' }]),
    tracing,
  });
  await harness.client.run(looker, 'Go.');
  await arrived(spans, 'execute_tool look');
  expect(seen).toBe(named(spans, 'execute_tool look')[0]?.spanContext().spanId);
});

test('runs that continue each other as new are in one trace, the later ones below the first', async () => {
  const { spans, tracing } = await traced();
  const reached = gate();
  const opened = gate();
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      reached.open();
      await opened.opened;
      return 'waited';
    },
  });
  const patient = defineAgent({ name: 'patient', instructions: 'Wait.', tools: [wait] });
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [patient],
    respond: scriptedModel([{ toolCalls: [{ name: 'wait', arguments: {} }] }, { text: 'done' }]),
    tracing,
  });
  const run = await harness.client.start(patient, 'Go.');
  await reached.opened;
  await fillHistory(harness.client, run.workflowId);
  opened.open();
  await run.result();
  await arrived(spans, 'invoke_agent patient', 2);
  const [first, next] = named(spans, 'invoke_agent patient');
  expect(first?.attributes['cadenza.continued_as_new']).toBe(true);
  expect(first?.parentSpanContext).toBeUndefined();
  expect(first?.attributes['error.type']).toBeUndefined();
  expect(next?.parentSpanContext?.spanId).toBe(first?.spanContext().spanId);
  expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(1);
  expect(named(spans, 'turn 2')[0]?.parentSpanContext?.spanId).toBe(next?.spanContext().spanId);
}, 180_000);

test('a run that fails or is cancelled says so by type, on its span and on that of the turn under way', async () => {
  const { spans, tracing } = await traced();
  const asked = gate();
  await using harness = await startHarness({
    agents: [crier],
    respond: ({ messages }) => {
      if (messages.at(-1)?.content === 'fail') return { status: 401 };
      asked.open();
      return { hang: true };
    },
    tracing,
  });
  await expect(harness.client.run(crier, 'fail')).rejects.toThrow();
  await arrived(spans, 'invoke_agent crier');
  for (const name of ['invoke_agent crier', 'turn 1', 'chat test-model'])
    expect(named(spans, name)[0]?.attributes['error.type'], name).toBe('ModelAuthentication');
  expect(JSON.stringify(spans.map(({ status, events }) => ({ status, events })))).not.toContain('message');
  const run = await harness.client.start(crier, 'hang');
  await asked.opened;
  await run.cancel();
  await expect(run.result()).rejects.toThrow();
  await arrived(spans, 'invoke_agent crier', 2);
  expect(named(spans, 'invoke_agent crier')[1]?.attributes['error.type']).toBe('cancelled');
  expect(named(spans, 'turn 1')[1]?.attributes['error.type']).toBe('cancelled');
});

test("the attributes are those of OpenTelemetry's conventions, or marked as our own or as Temporal's", async () => {
  const { spans, tracing } = await traced({ captureContent: true });
  await using harness = await startHarness({ agents: [crier], respond, tracing });
  await harness.client.run(crier, 'Go.');
  await arrived(spans, 'invoke_agent crier');
  const known = new Set<unknown>(
    Object.entries(conventions).flatMap(([key, name]) => (key.startsWith('ATTR_') ? [name] : [])),
  );
  const used = new Set(spans.flatMap(({ attributes }) => Object.keys(attributes)));
  expect(used.size).toBeGreaterThan(20);
  const unknown = [...used].filter((name) => !known.has(name) && !name.startsWith('cadenza.'));
  expect(unknown.toSorted()).toEqual(['run_id', 'temporalActivityId', 'temporalWorkflowId']);
});

test('a span that is told of twice, because the server refused a workflow task, is let go once, as it was told last', async () => {
  const gone: RunSpan[] = [];
  const held = new HeldSpans((span) => gone.push(span));
  const span = (end: number): RunSpan => ({
    name: 'turn 1',
    context: { traceId: 't', flags: '01' },
    spanId: spanIdOf('run', 'turn-1'),
    start: 1,
    end,
    attributes: {},
  });
  held.hold(span(2));
  held.hold(span(3));
  await vi.waitFor(() => expect(gone).toHaveLength(1));
  held.hold(span(4));
  held.flush();
  expect(gone.map(({ end }) => end)).toEqual([3]);
});

test("a replay worker with the same tracing leaves the live worker's provider its name", async () => {
  const { spans, tracing } = await traced();
  const live = tracing.sinks('openai');
  tracing.sinks('');
  const attributes = { 'gen_ai.operation.name': 'invoke_agent' };
  const context = { traceId: 'a'.repeat(32), flags: '01' };
  const spanId = spanIdOf('run', 'run');
  const span: RunSpan = { name: 'invoke_agent crier', context, spanId, start: 1, end: 2, attributes };
  await live[traceSink].ended.fn({} as never, span);
  await tracing.shutdown();
  expect(spans.map((each) => each.attributes['gen_ai.provider.name'])).toEqual(['openai']);
});

test('ids of spans are of their form, and those of one run differ', () => {
  const runs = ['019a0b7c-1111-7000-8000-000000000001', '019a0b7c-1111-7000-8000-000000000002'];
  const ids = runs.flatMap((run) =>
    Array.from({ length: 20_000 }, (_, turn) => spanIdOf(run, `turn-${turn}`)),
  );
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids.slice(0, 100)) expect(id).toMatch(/^[0-9a-f]{16}$/);
});

test("OpenTelemetry's variables say where to, how much, and whether at all; wrong ones are listed", () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
  expect(readTracingEnvironment({}).wanted).toBe(false);
  expect(readTracingEnvironment(endpoint)).toMatchObject({ wanted: true, captureContent: false });
  expect(readTracingEnvironment({ ...endpoint, OTEL_SDK_DISABLED: 'true' }).wanted).toBe(false);
  expect(readTracingEnvironment({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }).wanted).toBe(false);
  const sampled = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' };
  expect(readTracingEnvironment(sampled)).toMatchObject({ sampler: 'traceidratio', ratio: 0.25 });
  expect(() =>
    readTracingEnvironment({ OTEL_TRACES_SAMPLER: 'some', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }),
  ).toThrow(/OTEL_EXPORTER_OTLP_PROTOCOL: only http\/protobuf.*\n.*OTEL_TRACES_SAMPLER: set it to one of/);
});
