/**
 * Interceptors that a worker bundles where it traces. They name spans from the run and the place in it, give headers to what the run
 * begins, and tell the worker of runs and turns that have ended. They make no promise that the run waits for, and so no history depends
 * on whether they are there.
 */
import {
  ApplicationFailure,
  ContinueAsNew,
  defaultPayloadConverter,
  isCancellation,
  proxySinks,
  workflowInfo,
  type WorkflowExecuteInput,
  type WorkflowInterceptors,
} from '@temporalio/workflow';
import {
  callId,
  callsOf,
  names,
  positionOf,
  type AgentStart,
  type CallModelInput,
  type ModelTurn,
  type RunTotals,
} from '../../protocol/protocol.ts';
import {
  carrierOf,
  ownTraceOf,
  parseCarrier,
  spanIdOf,
  traceHeader,
  traceSink,
  type SpanValue,
  type TraceCarrier,
  type TraceContext,
  type TraceSinks,
} from '../../protocol/trace-context.ts';
import { observer, type RunObserver } from './observer.ts';

type Payload = ReturnType<typeof defaultPayloadConverter.toPayload>;
type Headers = Record<string, Payload>;

const sinks = proxySinks<TraceSinks>();

/** The trace of one run: its own span, and that of the turn under way. */
class RunTrace implements RunObserver {
  private context: TraceContext = { traceId: '', flags: '00' };
  private spanId = '';
  private turn: { number: number; agent: string; start: number } | undefined;
  /** The model's ids of the calls of the turn under way, by position. */
  private readonly calls = new Map<string, string>();
  private decision: string | undefined;

  begin(headers: Headers): void {
    const { runId, firstExecutionRunId } = workflowInfo();
    this.context = parseCarrier(carrierIn(headers)) ?? ownTraceOf(firstExecutionRunId);
    this.spanId = spanIdOf(runId, 'run');
  }

  /** Tells of the run's own span. */
  end(input: WorkflowExecuteInput, outcome: { result: unknown } | { thrown: unknown }): void {
    const { workflowType, runStartTime } = workflowInfo();
    const [start] = input.args as [AgentStart | undefined];
    const agent = workflowType === names.workflow ? this.agentOf(start) : undefined;
    const thrown = 'thrown' in outcome ? outcome.thrown : undefined;
    // What ends the run may have left its last turn as it was.
    if (this.turn) this.turnEnded(this.turn.number, thrown);
    const totals = 'result' in outcome ? outcome.result : detailsOf(thrown);
    const kind = agent === undefined ? 'invoke_workflow' : 'invoke_agent';
    this.tell(`${kind} ${agent ?? workflowType}`, this.spanId, this.context, runStartTime.getTime(), {
      attributes: {
        'gen_ai.operation.name': kind,
        ...(agent === undefined ? { 'gen_ai.workflow.name': workflowType } : { 'gen_ai.agent.name': agent }),
        ...(agent !== undefined && totalsOf(totals as Partial<RunTotals> | undefined)),
        ...(thrown instanceof ContinueAsNew && { 'cadenza.continued_as_new': true }),
      },
      thrown,
    });
  }

  turnBegan(agent: string, number: number): void {
    this.turn = { number, agent, start: Date.now() };
    this.calls.clear();
    this.decision = undefined;
  }

  turnEnded(number: number, thrown?: unknown): void {
    const { turn, decision } = this;
    if (turn?.number !== number) return;
    this.turn = undefined;
    const parent = { ...this.context, spanId: this.spanId };
    this.tell(`turn ${number}`, this.turnSpan(number), parent, turn.start, {
      attributes: {
        'gen_ai.agent.name': turn.agent,
        'cadenza.turn': number,
        ...(decision !== undefined && { 'cadenza.decision': decision }),
      },
      thrown,
    });
  }

  /** What a turn's model call has said: the ids of the calls that it asks for. */
  replied(id: string, { reply, decision }: ModelTurn): void {
    this.decision = decision.kind;
    for (const [index, call] of callsOf(reply).entries())
      this.calls.set(callId(id, index), call.id.slice(0, 200));
  }

  /** The headers of an activity, below the turn that it is part of. */
  forActivity(headers: Headers, type: string, id: string | undefined, input: unknown): Headers {
    const { turn, compact } = (type === names.callModel ? input : {}) as Partial<CallModelInput>;
    // What shortens the conversation before the run continues as new is part of no turn.
    const number = turn !== undefined && compact !== true ? turn : turnOf(id);
    const called = id === undefined ? undefined : this.calls.get(positionOf(id));
    return this.under(headers, number, called === undefined ? {} : { 'cadenza-call': called });
  }

  forChild(headers: Headers, input: unknown): Headers {
    return this.under(headers, turnOf((input as Partial<AgentStart> | undefined)?.tree?.call));
  }

  /** The next run of the chain is where this one is; in a trace that no caller began it is below the first one. */
  forNext(headers: Headers): Headers {
    return withCarrier(headers, carrierOf(this.context, this.context.spanId ?? this.spanId));
  }

  private under(headers: Headers, turn: number | undefined, more: TraceCarrier = {}): Headers {
    const spanId = turn === undefined ? this.spanId : this.turnSpan(turn);
    return withCarrier(headers, { ...carrierOf(this.context, spanId), ...more });
  }

  private turnSpan(turn: number): string {
    return spanIdOf(workflowInfo().runId, `turn-${turn}`);
  }

  private agentOf(start: AgentStart | undefined): string {
    return typeof start?.agent === 'string' ? start.agent : 'unknown';
  }

  private tell(
    name: string,
    spanId: string,
    context: TraceContext,
    start: number,
    { attributes, thrown }: { attributes: Record<string, SpanValue>; thrown: unknown },
  ): void {
    const { workflowId, runId } = workflowInfo();
    const error = errorTypeOf(thrown);
    sinks[traceSink].ended({
      name,
      context,
      spanId,
      start,
      end: Date.now(),
      attributes: {
        ...attributes,
        'gen_ai.conversation.id': workflowId,
        temporalWorkflowId: workflowId,
        run_id: runId,
      },
      ...(error !== undefined && { error }),
    });
  }
}

function carrierIn(headers: Headers): TraceCarrier | undefined {
  const payload = headers[traceHeader];
  return payload && defaultPayloadConverter.fromPayload<TraceCarrier>(payload);
}

function withCarrier(headers: Headers, carrier: TraceCarrier): Headers {
  return { ...headers, [traceHeader]: defaultPayloadConverter.toPayload({ ...carrier }) };
}

/** The turn of a position: 6 for `turn-6.0`. */
function turnOf(position: string | undefined): number | undefined {
  const [, turn] = /^turn-(\d+)/.exec(position ?? '') ?? [];
  return turn === undefined ? undefined : Number(turn);
}

function totalsOf(totals: Partial<RunTotals> | undefined): Record<string, SpanValue> {
  if (!totals?.usage) return {};
  const { usage, cost, turns } = totals;
  return {
    'gen_ai.usage.input_tokens': usage.input,
    'gen_ai.usage.output_tokens': usage.output,
    ...(typeof turns === 'number' && { 'cadenza.turns': turns }),
    ...(typeof cost === 'number' && { 'cadenza.cost': cost }),
  };
}

function detailsOf(thrown: unknown): unknown {
  return thrown instanceof ApplicationFailure ? thrown.details?.[0] : undefined;
}

/** A failure by its type alone: its message may quote what people, models and tools say. */
function errorTypeOf(thrown: unknown): string | undefined {
  if (thrown === undefined || thrown instanceof ContinueAsNew) return undefined;
  if (isCancellation(thrown)) return 'cancelled';
  if (thrown instanceof ApplicationFailure && thrown.type) return thrown.type;
  return thrown instanceof Error ? thrown.name : 'unknown';
}

/** Made anew for each workflow, by Temporal. */
export const interceptors = (): WorkflowInterceptors => {
  const trace = new RunTrace();
  observer.set(trace);
  return {
    inbound: [
      {
        execute(input, next) {
          trace.begin(input.headers);
          const running = next(input);
          running.then(
            (result) => trace.end(input, { result }),
            (thrown: unknown) => trace.end(input, { thrown }),
          );
          return running;
        },
      },
    ],
    outbound: [
      {
        scheduleActivity(input, next) {
          const { activityType, options, args } = input;
          const { activityId } = options;
          const headers = trace.forActivity(input.headers, activityType, activityId, args[0]);
          const result = next({ ...input, headers });
          if (activityType === names.callModel && activityId !== undefined) {
            result.then(
              (turn) => trace.replied(activityId, turn as ModelTurn),
              () => undefined,
            );
          }
          return result;
        },
        startChildWorkflowExecution(input, next) {
          return next({ ...input, headers: trace.forChild(input.headers, input.options.args[0]) });
        },
        continueAsNew(input, next) {
          return next({ ...input, headers: trace.forNext(input.headers) });
        },
      },
    ],
  };
};
