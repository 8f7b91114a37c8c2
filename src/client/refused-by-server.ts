import { failure } from '../protocol/failures.ts';

/**
 * The failure by name, `MessageRefused`, of a signal that the server has no room for until the run continues as new; `undefined` for whatever else was
 * thrown.
 */
export function refusedByServer(thrown: unknown): Error | undefined {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : undefined;
  if (!cause?.message.includes('limit for signal events')) return undefined;
  const why =
    'the run has had as many signals as Temporal allows, and takes more once it has continued as new';
  return failure('MessageRefused', `it was not accepted: ${why}; send it again later`, { cause });
}
