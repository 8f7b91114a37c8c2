import { fileURLToPath } from 'node:url';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
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
const agentOf = ({ messages }: Asked) => messageText(messages[0] as never);
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

/** A run with its workers and all the spans that they told of. */
class Scenario {
  readonly id = `traced-${randomUUID()}`;
  runId = '';
  readonly killed: boolean;
  private readonly taskQueue = `traced-${randomUUID()}`;
  private readonly ledger = new Ledger();
  private readonly workers: WorkerProcess[] = [];
  private server: ModelServer | undefined;
  private collector: TraceCollector | undefined;

  constructor(killed: boolean) {
    this.killed = killed;
  }

  async play(): Promise<void> {
    const { killed, ledger, workers, taskQueue, id } = this;
    this.collector = await startTraceCollector();
    let refusals = 0;
    this.server = await createModelServer({ respond: (request) => answer(request, () => refusals++ === 0) });
    const { client } = await connectToTemporal();
    const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
    const first = await this.startWorker();
    if (killed) ledger.hold();
    const run = await cadenza.start('desk', secret, { id });
    if (killed) {
      const isSlow = () => ledger.entries.some(({ tool }) => tool === 'slow');
      await vi.waitFor(() => expect(isSlow()).toBe(true), { timeout: 60_000 });
      // What is gathered and not yet sent is lost with a process.
      await vi.waitFor(() => expect(this.named('turn 1')).toHaveLength(4), { timeout: 20_000 });
      await this.startWorker();
      ledger.release();
      first.kill('SIGKILL');
    }
    expect((await run.result()).output).toBe(`done: ${secret}`);
    this.runId = (await client.workflow.getHandle(id).describe()).runId;
    await vi.waitFor(() => expect(this.named('invoke_agent desk')).toHaveLength(1), { timeout: 20_000 });
    for (const worker of workers) worker.kill('SIGTERM');
    for (const worker of workers) await worker.ended;
  }

  async end(): Promise<void> {
    for (const worker of this.workers) await worker[Symbol.asyncDispose]();
    await this.server?.close();
    await this.collector?.[Symbol.asyncDispose]();
    this.ledger[Symbol.dispose]();
  }

  get spans(): CollectedSpan[] {
    return this.collector?.spans ?? [];
  }

  get bytes(): Buffer {
    return this.collector?.bytes() ?? Buffer.of();
  }

  named(name: string): CollectedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  only(name: string, agent?: string): CollectedSpan {
    const found = this.named(name).filter(
      ({ attributes }) => agent === undefined || attributes['gen_ai.agent.name'] === agent,
    );
    expect(found, `${name} ${agent}`).toHaveLength(1);
    return found[0] as CollectedSpan;
  }

  turn(agent: string, number: number): CollectedSpan {
    return this.only(`turn ${number}`, agent);
  }

  private async startWorker(): Promise<WorkerProcess> {
    const env = {
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: this.server?.baseURL ?? '',
      CADENZA_AGENTS: file('traced-agents'),
      CADENZA_TASK_QUEUE: this.taskQueue,
      TEST_LEDGER: this.ledger.folder,
      OTEL_EXPORTER_OTLP_ENDPOINT: this.collector?.endpoint ?? '',
      OTEL_SERVICE_NAME: 'desk-workers',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    };
    const worker = startWorkerProcess(env, ...(this.killed ? [] : [file('traced-worker')]));
    this.workers.push(worker);
    await worker.ready();
    return worker;
  }
}

const scenarios: [string, Scenario][] = [
  ['a worker killed with -9 half-way', new Scenario(true)],
  ['workers that keep no workflow in memory', new Scenario(false)],
];

beforeAll(async () => {
  for (const [, scenario] of scenarios) await scenario.play();
}, 300_000);

afterAll(async () => {
  for (const [, scenario] of scenarios) await scenario.end();
});

test.each(scenarios)(
  '%s: one trace holds the run, its handoff and its delegations, and is found by the run id',
  (_how, scenario) => {
    expect(new Set(scenario.spans.map(({ traceId }) => traceId))).toEqual(
      new Set([scenario.runId.replaceAll('-', '')]),
    );
    const ids = scenario.spans.map(({ spanId }) => spanId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(scenario.only('invoke_agent desk').resource).toMatchObject({
      'service.name': 'desk-workers',
      'deployment.environment.name': 'test',
    });
  },
);

test.each(scenarios)(
  '%s: each run and each turn has exactly one span, with the right parent',
  (_how, scenario) => {
    const root = scenario.only('invoke_agent desk');
    expect(root.parentId).toBeUndefined();
    for (const number of [1, 2]) expect(scenario.turn('desk', number).parentId).toBe(root.spanId);
    const expert = scenario.only('invoke_agent expert');
    expect(expert.parentId).toBe(scenario.turn('desk', 2).spanId);
    for (const number of [1, 2, 3]) expect(scenario.turn('expert', number).parentId).toBe(expert.spanId);
    for (const agent of ['helper', 'checker']) {
      const run = scenario.only(`invoke_agent ${agent}`);
      expect(run.parentId).toBe(scenario.turn('expert', 1).spanId);
      expect(scenario.turn(agent, 1).parentId).toBe(run.spanId);
    }
    expect(scenario.spans.filter(({ name }) => /^(invoke_agent|turn) /.test(name))).toHaveLength(4 + 7);
    for (const span of scenario.spans) expect(span.end).toBeGreaterThanOrEqual(span.start);
    expect(root.attributes).toMatchObject({
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.name': 'desk',
      'gen_ai.provider.name': 'openai',
      'gen_ai.conversation.id': scenario.id,
      'cadenza.turns': 7,
    });
    expect(scenario.turn('desk', 2).attributes).toMatchObject({ 'cadenza.decision': 'handoff' });
  },
);

test.each(scenarios)(
  '%s: model calls are below their turns, and attempts are told apart',
  (_how, scenario) => {
    const chats = scenario.spans.filter(({ attributes }) => attributes['gen_ai.operation.name'] === 'chat');
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
      expect(parentId).toBe(scenario.turn(agent, attributes['cadenza.turn'] as number).spanId);
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
  },
);

test.each(scenarios)(
  '%s: tool calls are below their turns under the model’s ids, each attempt that ended with a span of its own',
  (_how, scenario) => {
    const [first, second] = scenario.named('execute_tool look-up').toSorted((a, b) => a.start - b.start);
    expect(scenario.named('execute_tool look-up')).toHaveLength(2);
    for (const [index, span] of [first, second].entries()) {
      expect(span?.parentId).toBe(scenario.turn('desk', 1).spanId);
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
    const slow = scenario.only('execute_tool slow');
    expect(slow.parentId).toBe(scenario.turn('expert', 2).spanId);
    // The attempt that was killed could tell nobody.
    expect(slow.attributes['cadenza.attempt']).toBe(scenario.killed ? 2 : 1);
  },
);

test.each(scenarios)('%s: nothing of what people, models and tools say is in any span', (_how, scenario) => {
  expect(scenario.bytes.length).toBeGreaterThan(1_000);
  expect(scenario.bytes.includes(secret)).toBe(false);
  expect(scenario.bytes.includes('swordfish')).toBe(false);
});
