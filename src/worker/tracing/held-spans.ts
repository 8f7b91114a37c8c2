import type { RunSpan } from '../../protocol/trace-context.ts';

/** Milliseconds for which a span of workflow code is held back: a workflow task that the server refused is done again by then. */
const heldMs = 300;
/** Ids of spans let go that are remembered: those of the workflow tasks of some minutes. */
const mostRemembered = 10_000;

/**
 * Spans of workflow code, each let go once. Workflow code tells of a span before the server has taken the task: refused, because a message
 * came meanwhile, the task is done again and tells of the span again, or not. What is told last counts.
 */
export class HeldSpans {
  private readonly held = new Map<string, { span: RunSpan; timer: NodeJS.Timeout }>();
  private readonly gone = new Set<string>();
  private readonly release: (span: RunSpan) => void;

  constructor(release: (span: RunSpan) => void) {
    this.release = release;
  }

  hold(span: RunSpan): void {
    const { spanId } = span;
    if (this.gone.has(spanId)) return;
    clearTimeout(this.held.get(spanId)?.timer);
    this.held.set(spanId, { span, timer: setTimeout(() => this.letGo(spanId), heldMs) });
  }

  /** Lets everything go at once. */
  flush(): void {
    for (const spanId of this.held.keys()) this.letGo(spanId);
  }

  private letGo(spanId: string): void {
    const held = this.held.get(spanId);
    if (!held) return;
    clearTimeout(held.timer);
    this.held.delete(spanId);
    this.gone.add(spanId);
    const [oldest] = this.gone;
    if (this.gone.size > mostRemembered && oldest !== undefined) this.gone.delete(oldest);
    this.release(held.span);
  }
}
