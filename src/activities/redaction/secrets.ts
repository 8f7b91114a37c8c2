import { ApplicationFailure } from '@temporalio/common';
import type { RegisteredAgent } from '../../agents/registry.ts';
import type { Json } from '../../protocol/protocol.ts';

/** What stands in place of a secret. */
export const redacted = '[secret]';

/** A shorter value is more likely to be a word than a secret, and would be cut out of honest texts. */
const shortest = 12;
/** Values that are looked for: with each, every text takes longer. */
const most = 500;
const secretNames = /(key|token|secret|passw(or)?d|credential|authorization|headers)s?(_(data|json))?$/i;

/** Takes known secrets out of what leaves a worker. */
export class Redactor {
  readonly #pattern: RegExp | undefined;

  constructor(values: Iterable<string>) {
    const known = [...new Set([...values].flatMap(formsOf))].filter((value) => value.length >= shortest);
    // The longest first: one may be the beginning of another.
    known.sort((one, other) => other.length - one.length);
    this.#pattern =
      known.length === 0 ? undefined : new RegExp(known.slice(0, most).map(escaped).join('|'), 'g');
  }

  text(text: string): string {
    return this.#pattern ? text.replace(this.#pattern, redacted) : text;
  }

  /** The same value where there is nothing in it. Names of properties are looked at too. */
  json<T extends Json>(value: T): T {
    if (!this.#pattern) return value;
    return this.#deep(value) as T;
  }

  /** The error without secrets in its message, stack, causes and details. Changes the error itself, so that it stays what it is. */
  error(thrown: unknown): unknown {
    if (!this.#pattern) return thrown;
    const seen = new Set<unknown>();
    for (let error = thrown; error instanceof Error && !seen.has(error); error = error.cause) {
      seen.add(error);
      this.#clean(error);
    }
    return typeof thrown === 'string' ? this.text(thrown) : thrown;
  }

  #clean(error: Error): void {
    const write = (name: 'message' | 'stack' | 'details', value: unknown) =>
      Object.defineProperty(error, name, {
        value,
        writable: true,
        configurable: true,
        enumerable: name === 'details',
      });
    if (this.text(error.message) !== error.message) write('message', this.text(error.message));
    if (error.stack !== undefined && this.text(error.stack) !== error.stack)
      write('stack', this.text(error.stack));
    if (error instanceof ApplicationFailure && error.details)
      write('details', this.json(error.details as Json));
  }

  #deep(value: Json): Json {
    if (typeof value === 'string') return this.text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((one) => this.#deep(one));
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [this.text(name), this.#deep(one)]));
  }
}

/** Values of an environment's variables that are secrets by their names, and passwords within addresses. */
export function secretsOf(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(env).flatMap(([name, value = '']) => {
    if (name === 'CADENZA_CODEC_KEYS')
      return value.split(',').map((entry) => entry.replace(/^[^:]*:/, '').trim());
    if (secretNames.test(name)) return valuesIn(value);
    return URL.canParse(value) && new URL(value).password !== ''
      ? [decodeURIComponent(new URL(value).password)]
      : [];
  });
}

/** What agents are given for their servers of tools: headers, and variables that are secrets by their names. */
export function serverSecrets(agents: Iterable<RegisteredAgent>): string[] {
  return [...agents].flatMap(({ agent }) =>
    (agent.mcpServers ?? []).flatMap((server) =>
      'url' in server ? Object.values(server.headers ?? {}) : secretsOf(server.env ?? {}),
    ),
  );
}

/** The texts of a JSON object, or the value itself. */
function valuesIn(value: string): string[] {
  try {
    const parsed = JSON.parse(value) as unknown;
    if (typeof parsed === 'object' && parsed !== null)
      return Object.values(parsed).filter((one): one is string => typeof one === 'string');
  } catch {
    // It is a secret of another form.
  }
  return [value];
}

/** A secret as it is, without the scheme of a header (`Bearer …`), and as addresses and JSON write it. */
function formsOf(value: string): string[] {
  const bare = value.trim().replace(/^(Bearer|Basic|Token) /i, '');
  return [value, bare].flatMap((one) => [one, encodeURIComponent(one), JSON.stringify(one).slice(1, -1)]);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}
