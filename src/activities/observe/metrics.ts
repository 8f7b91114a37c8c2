import type { MetricMeter } from '@temporalio/common';
import type { ToolResult, Usage } from '../../protocol/protocol.ts';

/** What became of a question to a model. */
export type ModelOutcome = 'ok' | 'failed' | 'cancelled';

/**
 * Different values of one label before the rest is called `other`: names of models and tools come from whoever starts runs and from servers
 * of tools, and each makes series that live as long as the process.
 */
const mostValues = 300;

/**
 * What the activities of one worker count, through Temporal's own meter: it goes wherever the worker's Runtime sends its metrics. An attempt
 * that Temporal repeats counts again, as it is paid again; a replay counts nothing, as it runs no activity.
 */
export class ActivityMetrics {
  private readonly turns;
  private readonly tokens;
  private readonly cost;
  private readonly modelSeconds;
  private readonly toolCalls;
  private readonly toolSeconds;
  private readonly cacheHits;
  private readonly reads;
  private readonly lost;
  private readonly models = new Labels();
  private readonly tools = new Labels();
  private readonly agents = new Labels();
  private readonly spent = new Map<string, number>();

  constructor(meter: MetricMeter) {
    this.turns = meter.createCounter('cadenza_turns_total', 'turns', 'Turns that a model answered');
    this.tokens = meter.createCounter(
      'cadenza_tokens_total',
      'tokens',
      'Tokens by kind; the kinds do not overlap',
    );
    // A counter of Temporal's takes whole numbers only.
    this.cost = meter.createGauge(
      'cadenza_cost_usd_total',
      'float',
      'usd',
      'US dollars since the process began',
    );
    this.modelSeconds = meter.createHistogram(
      'cadenza_model_call_seconds',
      'float',
      's',
      'Time that a model took to answer',
    );
    this.toolCalls = meter.createCounter('cadenza_tool_calls_total', 'calls', 'Attempts of tool calls');
    this.toolSeconds = meter.createHistogram(
      'cadenza_tool_call_seconds',
      'float',
      's',
      'Time that an attempt of a tool call took',
    );
    this.cacheHits = meter.createCounter(
      'cadenza_transcript_cache_hits_total',
      'turns',
      'Turns whose conversation was in memory',
    );
    this.reads = meter.createCounter(
      'cadenza_transcript_reads_total',
      'reads',
      'Histories read: cold (whole), partial (what is new), reply (for large arguments)',
    );
    this.lost = meter.createCounter(
      'cadenza_replies_lost_in_drain_total',
      'calls',
      'Model calls that a stopping worker cut off',
    );
    // An alert needs the series before the first loss.
    this.lost.add(0);
    this.cacheHits.add(0);
  }

  /** A model was asked. */
  modelCall(
    agent: string,
    model: string,
    {
      seconds,
      outcome,
      usage,
      cost,
    }: { seconds: number; outcome: ModelOutcome; usage?: Usage; cost?: number },
  ): void {
    const labels = this.labels(agent, model);
    this.modelSeconds.record(seconds, { ...labels, outcome });
    if (usage) {
      const { input, output, cached = 0, reasoning = 0 } = usage;
      const kinds = { input: input - cached, cached, output: output - reasoning, reasoning };
      for (const [kind, count] of Object.entries(kinds)) {
        if (count > 0) this.tokens.add(Math.round(count), { ...labels, kind });
      }
    }
    if (cost === undefined) return;
    const key = JSON.stringify(labels);
    const sum = (this.spent.get(key) ?? 0) + cost;
    this.spent.set(key, sum);
    this.cost.set(sum, labels);
  }

  turn(agent: string, model: string): void {
    this.turns.add(1, this.labels(agent, model));
  }

  /** An attempt of a tool call ended; without a result, where it is repeated or cut off. */
  toolCall(agent: string, tool: string, seconds: number, result: ToolResult | undefined): void {
    const labels = { agent: this.agents.of(agent), tool: this.tools.of(tool) };
    this.toolCalls.add(1, { ...labels, outcome: result ? outcomeOf(result) : 'failed' });
    this.toolSeconds.record(seconds, labels);
  }

  transcript(how: 'warm' | 'partial' | 'cold' | 'reply'): void {
    if (how === 'warm') this.cacheHits.add(1);
    else this.reads.add(1, { kind: how });
  }

  replyLost(): void {
    this.lost.add(1);
  }

  private labels(agent: string, model: string): { agent: string; model: string } {
    return { agent: this.agents.of(agent), model: this.models.of(model) };
  }
}

function outcomeOf({ needsDecision, uncertain, refused, error }: ToolResult): string {
  if (needsDecision) return 'approval';
  if (uncertain) return 'uncertain';
  if (refused) return 'refused';
  return error ? 'error' : 'ok';
}

class Labels {
  private readonly known = new Set<string>();

  of(value: string): string {
    if (this.known.has(value)) return value;
    if (this.known.size >= mostValues) return 'other';
    this.known.add(value);
    return value;
  }
}
