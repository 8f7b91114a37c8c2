import { failure } from '../../protocol/failures.ts';

/** How long a complete reply is waited for what servers send behind it: usage, the end of the stream. Milliseconds. */
const afterwordMs = 5_000;

/** How a reply is read while the model still writes it. */
export interface StreamOptions {
  signal: AbortSignal;
  /** Milliseconds for which a reply that has begun may stand still. */
  idleMs: number;
  /** Called with each piece of the reply's text. */
  onText?: ((delta: string) => void) | undefined;
}

/** What collects the pieces of a reply into the answer as it would have come whole. */
export interface Collector {
  /** Takes a piece; returns the text in it. */
  add(piece: unknown): string;
  /** The whole answer; `undefined` as long as it is not complete. */
  readonly answer: unknown;
  /** Whether the model has begun to write. */
  readonly begun: boolean;
  /** Whether nothing comes behind the answer. */
  readonly isOver: boolean;
}

/**
 * Reads a streamed reply to its end; `undefined` where nothing in it was a piece of a reply, as in a page of a proxy. Throws `ModelUnavailable`, to
 * be repeated, where it stands still or ends before it is complete. One that is complete is
 * taken however its stream ends: it is paid for.
 */
export async function readStream(
  stream: AsyncIterable<unknown>,
  collector: Collector,
  { signal, idleMs, onText }: StreamOptions,
): Promise<unknown> {
  const pieces = stream[Symbol.asyncIterator]();
  let isReply = false;
  try {
    while (!collector.isOver) {
      const patience = collector.answer === undefined ? idleMs : Math.min(idleMs, afterwordMs);
      // Before its first word a model may think for as long as it may take altogether.
      const next = await within(pieces.next(), collector.begun ? patience : undefined, signal);
      if (next.done) break;
      isReply ||= typeof next.value === 'object' && next.value !== null;
      const text = collector.add(next.value);
      if (text !== '') onText?.(text);
    }
  } catch (thrown) {
    signal.throwIfAborted();
    if (collector.answer === undefined) throw thrown;
  } finally {
    // Whoever leaves early closes the connection; nobody waits for how that goes.
    void pieces.return?.().catch(() => undefined);
  }
  if (collector.answer === undefined && isReply)
    throw failure('ModelUnavailable', 'the reply ended before it was complete');
  return collector.answer;
}

async function within<T>(value: Promise<T>, idleMs: number | undefined, signal: AbortSignal): Promise<T> {
  value.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  let leave: (() => void) | undefined;
  const cut = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason as Error);
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    if (idleMs === undefined) return;
    const why = `the model's reply stood still for ${idleMs} ms`;
    timer = setTimeout(() => reject(failure('ModelUnavailable', why)), idleMs);
  });
  try {
    return await Promise.race([value, cut]);
  } finally {
    clearTimeout(timer);
    if (leave) signal.removeEventListener('abort', leave);
  }
}

interface ChatDelta {
  content?: string | null;
  refusal?: string | null;
  reasoning_details?: unknown[] | null;
  tool_calls?: ToolCallDelta[] | null;
}

interface ToolCallDelta {
  index?: number;
  id?: string | null;
  function?: { name?: string | null; arguments?: unknown } | null;
  extra_content?: unknown;
}

/** Collects the chunks of a chat completion. Of several choices the first counts. */
export class ChatCollector implements Collector {
  begun = false;
  /** The usage comes last, from servers that count. */
  readonly isOver = false;
  private content: string | undefined;
  private refusal = '';
  private readonly calls = new Map<
    number,
    { id?: string; name: string; arguments: string; extra?: unknown }
  >();
  private readonly details: unknown[] = [];
  private finishReason: string | undefined;
  private usage: unknown;
  private model: unknown;
  private id: unknown;

  add(piece: unknown): string {
    const { choices, usage, error, model, id } = (piece ?? {}) as {
      model?: unknown;
      id?: unknown;
      choices?: { index?: number; delta?: ChatDelta | null; finish_reason?: string | null }[] | null;
      usage?: unknown;
      error?: { message?: string } | null;
    };
    if (error)
      throw failure('ModelUnavailable', `the provider gave up: ${String(error.message).slice(0, 500)}`);
    if (usage != null) this.usage = usage;
    this.model ??= model;
    this.id ??= id;
    const choice = choices?.find(({ index = 0 }) => index === 0);
    if (choice?.finish_reason != null) this.finishReason = choice.finish_reason;
    const { content, refusal, reasoning_details: details, tool_calls: calls } = choice?.delta ?? {};
    if (content != null) this.content = (this.content ?? '') + content;
    if (refusal != null) this.refusal += refusal;
    if (details) this.details.push(...details);
    for (const call of calls ?? []) this.addCall(call);
    this.begun ||=
      Boolean(content) || Boolean(refusal) || (calls?.length ?? 0) > 0 || this.finishReason !== undefined;
    return content ?? '';
  }

  get answer(): unknown {
    if (this.finishReason === undefined) return undefined;
    const calls = [...this.calls.entries()].toSorted(([a], [b]) => a - b).map(([, call]) => call);
    const message = {
      content: this.content ?? null,
      refusal: this.refusal || null,
      ...(this.details.length > 0 && { reasoning_details: this.details }),
      tool_calls: calls.map(({ id, name, arguments: text, extra }) => ({
        id,
        function: { name, arguments: text },
        ...(extra != null && { extra_content: extra }),
      })),
    };
    const { model, id, usage } = this;
    return { model, id, choices: [{ message, finish_reason: this.finishReason }], usage };
  }

  private addCall({ index, id, function: part, extra_content: extra }: ToolCallDelta): void {
    // Some servers number no calls and send each whole.
    const place = index ?? this.calls.size;
    const call = this.calls.get(place) ?? { name: '', arguments: '' };
    if (id) call.id = id;
    if (part?.name) call.name += part.name;
    const given = part?.arguments;
    if (given != null) call.arguments += typeof given === 'string' ? given : JSON.stringify(given);
    if (extra != null) call.extra = extra;
    this.calls.set(place, call);
  }
}

/** Takes the events of a response, the last of which holds all of it. */
export class ResponsesCollector implements Collector {
  begun = false;
  isOver = false;
  answer: unknown;

  add(piece: unknown): string {
    const { type, delta, response, message } = (piece ?? {}) as {
      type?: string;
      delta?: unknown;
      response?: unknown;
      message?: string;
    };
    if (type === 'error')
      throw failure('ModelUnavailable', `the provider gave up: ${String(message).slice(0, 500)}`);
    if (type === 'response.completed' || type === 'response.incomplete' || type === 'response.failed')
      [this.answer, this.isOver] = [response, response !== undefined];
    if (type?.endsWith('.delta')) this.begun = true;
    return type === 'response.output_text.delta' && typeof delta === 'string' ? delta : '';
  }
}
