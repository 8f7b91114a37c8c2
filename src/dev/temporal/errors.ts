/** No Temporal server could be found or started. The message lists what was tried, why it failed, and what to do. */
export class TemporalUnavailable extends Error {
  override readonly name = 'TemporalUnavailable';
  readonly attempts: readonly Attempt[];

  constructor(message: string, attempts: readonly Attempt[] = [], options?: ErrorOptions) {
    super(message, options);
    this.attempts = attempts;
  }
}

/** One way to a Temporal server, and why it led nowhere. */
export interface Attempt {
  readonly tried: string;
  readonly failed: string;
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The messages of an error and of its causes, without repeating what one already says. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at !== undefined && at !== null && parts.length < 5;) {
    const message = at instanceof Error ? at.message : typeof at === 'string' ? at : JSON.stringify(at);
    if (message !== '' && !parts.some((part) => part.includes(message))) parts.push(message);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(': ');
}
