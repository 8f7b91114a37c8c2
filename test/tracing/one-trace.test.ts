import { fileURLToPath } from 'node:url';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import {
  createModelServer,
  type ModelServer,
  type ModelServerReply,
  type ModelServerRequest,
} from '../../src/testing/model-server.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';
import { startTraceCollector, type CollectedSpan, type TraceCollector } from '../support/trace-collector.ts';

const file = (name: string) => fileURLToPath(new URL(`../support/processes/${name}.ts`, import.meta.url));
/** In the input, in arguments, results, replies and the message of a failure. */
const secret = 'the-password-is-swordfish';

type Asked = Pick<ModelServerRequest, 'messages'>;
const agentOf = ({ messages }: Asked) => String(messages[0]?.content);
const turnOf = ({ messages }: Asked) => messages.filter(({ role }) => role === 'assistant').length + 1;

/** The desk looks up and hands over; the expert asks two others at once and uses a slow tool. */
function answer(request: ModelServerRequest, refuse: () => boolean): ModelServerReply {
  const agent = agentOf(request);
  const turn = turnOf(request);
  const call = (name: string, input: object) => ({ name, arguments: input as never, id: `call-${name}` });
  if (agent === 'desk' && turn === 1)
    return { text: secret, toolCalls: [call('look-up', { about: secret })] };
  if (agent === 'desk') return { toolCalls: [call('transfer_to_expert', { reason: secret })] };
  if (agent !== 'expert') return refuse() ? { status: 503 } : { text: `${agent} says ${secret}` };
  // The expert sees the desk's two replies.
  if (turn === 3)
    return { toolCalls: [call('ask_helper', { task: secret }), call('ask_checker', { task: secret })] };
  return turn === 4 ? { toolCalls: [call('slow', { about: secret })] } : { text: `done: ${secret}` };
}

describe.each(['a worker killed with -9 half-way', 'workers that keep no workflow in memory'])(
  '%s',
  (how) => {
    const killed = how.startsWith('a worker killed');
    const taskQueue = `traced-${randomUUID()}`;
    const id = `traced-${randomUUID()}`;
    const ledger = new Ledger();
    const workers: WorkerProcess[] = [];
    let server: ModelServer;
    let collector: TraceCollector;
    let runId: string;

    const startWorker = async () => {
      const env = {
        TEMPORAL_ADDRESS: inject('temporalAddress'),
        OPENAI_BASE_URL: server.baseURL,
        CADENZA_AGENTS: file('traced-agents'),
        CADENZA_TASK_QUEUE: taskQueue,
        TEST_LEDGER: ledger.folder,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
        OTEL_SERVICE_NAME: 'desk-workers',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
      };
      const worker = startWorkerProcess(env, ...(killed ? [] : [file('traced-worker')]));
      workers.push(worker);
      await worker.ready();
      return worker;
    };

    beforeAll(async () => {
      collector = await startTraceCollector();
      let refusals = 0;
      server = await createModelServer({ respond: (request) => answer(request, () => refusals++ === 0) });
      const { client } = await connectToTemporal();
      const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
      const first = await startWorker();
      if (killed) ledger.hold();
      const run = await cadenza.start('desk', secret, { id });
      if (killed) {
        const isSlow = () => ledger.entries.some(({ tool }) => tool === 'slow');
        await vi.waitFor(() => expect(isSlow()).toBe(true), { timeout: 60_000 });
        // What is gathered and not yet sent is lost with a process.
        await vi.waitFor(() => expect(named('turn 1')).toHaveLength(4), { timeout: 20_000 });
        await startWorker();
        ledger.release();
        first.kill('SIGKILL');
      }
      expect((await run.result()).output).toBe(`done: ${secret}`);
      runId = (await client.workflow.getHandle(id).describe()).runId;
      await vi.waitFor(() => expect(named('invoke_agent desk')).toHaveLength(1), { timeout: 20_000 });
      for (const worker of workers) worker.kill('SIGTERM');
      for (const worker of workers) await worker.ended;
    }, 180_000);

    afterAll(async () => {
      for (const worker of workers) await worker[Symbol.asyncDispose]();
      await server.close();
      await collector[Symbol.asyncDispose]();
      ledger[Symbol.dispose]();
    });

    const named = (name: string) => collector.spans.filter((span) => span.name === name);
    const only = (name: string, matching: Record<string, unknown> = {}): CollectedSpan => {
      const found = named(name).filter((span) =>
        Object.entries(matching).every(([key, value]) => span.attributes[key] === value),
      );
      expect(found, `${name} ${JSON.stringify(matching)}`).toHaveLength(1);
      return found[0] as CollectedSpan;
    };
    const turn = (agent: string, number: number) => only(`turn ${number}`, { 'gen_ai.agent.name': agent });

    test('one trace holds the run, its handoff and its delegations, and is found by the run id', () => {
      expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(
        new Set([runId.replaceAll('-', '')]),
      );
      const ids = collector.spans.map(({ spanId }) => spanId);
      expect(new Set(ids).size).toBe(ids.length);
      expect(only('invoke_agent desk').resource).toMatchObject({
        'service.name': 'desk-workers',
        'deployment.environment.name': 'test',
      });
    });

    test('each run and each turn has exactly one span, with the right parent', () => {
      const root = only('invoke_agent desk');
      expect(root.parentId).toBeUndefined();
      for (const number of [1, 2]) expect(turn('desk', number).parentId).toBe(root.spanId);
      const expert = only('invoke_agent expert');
      expect(expert.parentId).toBe(turn('desk', 2).spanId);
      for (const number of [1, 2, 3]) expect(turn('expert', number).parentId).toBe(expert.spanId);
      for (const agent of ['helper', 'checker']) {
        const run = only(`invoke_agent ${agent}`);
        expect(run.parentId).toBe(turn('expert', 1).spanId);
        expect(turn(agent, 1).parentId).toBe(run.spanId);
      }
      expect(collector.spans.filter(({ name }) => /^(invoke_agent|turn) /.test(name))).toHaveLength(4 + 7);
      for (const span of collector.spans) expect(span.end).toBeGreaterThanOrEqual(span.start);
      expect(root.attributes).toMatchObject({
        'gen_ai.operation.name': 'invoke_agent',
        'gen_ai.agent.name': 'desk',
        'gen_ai.provider.name': 'openai',
        'gen_ai.conversation.id': id,
        'cadenza.turns': 7,
      });
      expect(turn('desk', 2).attributes).toMatchObject({ 'cadenza.decision': 'handoff' });
    });

    test('model calls are below their turns, and attempts are told apart', () => {
      const chats = collector.spans.filter(
        ({ attributes }) => attributes['gen_ai.operation.name'] === 'chat',
      );
      const failed = chats.filter(({ attributes }) => attributes['error.type'] !== undefined);
      expect(failed).toHaveLength(1);
      expect(failed[0]?.attributes).toMatchObject({ 'error.type': 'ModelUnavailable', 'cadenza.attempt': 1 });
      expect(failed[0]?.status).toEqual({ code: 2 });
      const again = chats.filter(({ attributes }) => attributes['cadenza.attempt'] === 2);
      expect(again.map(({ parentId }) => parentId)).toEqual([failed[0]?.parentId]);
      expect(chats).toHaveLength(7 + 1);
      for (const { name, parentId, attributes } of chats) {
        expect(name).toBe('chat test-model');
        const agent = attributes['gen_ai.agent.name'] as string;
        expect(parentId).toBe(turn(agent, attributes['cadenza.turn'] as number).spanId);
        expect(attributes).toMatchObject({
          'gen_ai.provider.name': 'openai',
          'gen_ai.request.model': 'test-model',
        });
        if (attributes['error.type'] !== undefined) continue;
        expect(attributes).toMatchObject({
          'gen_ai.response.model': 'test-model',
          'gen_ai.response.id': expect.any(String) as string,
          'gen_ai.response.finish_reasons': ['stop'],
          'gen_ai.usage.input_tokens': expect.any(Number) as number,
          'gen_ai.usage.output_tokens': expect.any(Number) as number,
        });
      }
    });

    test('tool calls are below their turns under the model’s ids, each attempt that ended with a span of its own', () => {
      const [first, second] = named('execute_tool look-up').toSorted((a, b) => a.start - b.start);
      expect(named('execute_tool look-up')).toHaveLength(2);
      for (const [index, span] of [first, second].entries()) {
        expect(span?.parentId).toBe(turn('desk', 1).spanId);
        expect(span?.attributes).toMatchObject({
          'gen_ai.operation.name': 'execute_tool',
          'gen_ai.tool.name': 'look-up',
          'gen_ai.tool.call.id': 'call-look-up',
          'gen_ai.tool.type': 'function',
          'cadenza.attempt': index + 1,
        });
      }
      expect(first?.attributes['error.type']).toBe('ToolAttemptFailed');
      expect(second?.attributes['error.type']).toBeUndefined();
      const slow = only('execute_tool slow');
      expect(slow.parentId).toBe(turn('expert', 2).spanId);
      // The attempt that was killed could tell nobody.
      expect(slow.attributes['cadenza.attempt']).toBe(killed ? 2 : 1);
    });

    test('nothing of what people, models and tools say is in any span', () => {
      expect(collector.bytes().length).toBeGreaterThan(1_000);
      expect(collector.bytes().includes(secret)).toBe(false);
      expect(collector.bytes().includes('swordfish')).toBe(false);
    });
  },
);
