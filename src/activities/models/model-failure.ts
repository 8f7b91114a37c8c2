import type { APIError } from 'openai';
import { ApplicationFailure } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import type { OpenAIPackage } from './openai-client.ts';

/** The classes that are told apart, of the package that threw. */
type OpenAIErrors = Pick<OpenAIPackage, 'APIConnectionError' | 'APIError'>;

/** A provider that names a later time is asked once an hour all the same. */
const longestRetryAfterMs = 60 * 60 * 1000;

/** Attempts after which an error of unknown class is final. */
const unknownErrorAttempts = 5;

/**
 * The failure for an error of the `openai` client: by its status first, by headers second. The server's own word on when to
 * come back (`retry-after-ms`, `retry-after`) becomes Temporal's next retry delay.
 */
export function modelFailure(
  errors: OpenAIErrors,
  thrown: unknown,
  attempt: number,
  ...secrets: readonly string[]
): ApplicationFailure {
  // Some servers quote the credentials they refuse.
  const said = secrets
    .filter((secret) => secret !== '')
    .reduce((text, secret) => text.replaceAll(secret, '[key]'), describeThrown(thrown))
    .slice(0, 1_000);
  const cause = plainError(toError(thrown).name, said);
  if (thrown instanceof errors.APIConnectionError) {
    return failure('ModelUnavailable', `the model provider could not be reached: ${said}`, { cause });
  }
  if (!(thrown instanceof errors.APIError) || typeof thrown.status !== 'number') {
    const final = attempt >= unknownErrorAttempts;
    return failure('ModelUnavailable', `the model call failed: ${said}`, { cause, final });
  }
  const { status, headers } = thrown as APIError<number, Headers>;
  const nextRetryMs = retryAfter(headers);
  const message = `the model provider answered ${status}: ${said}`;
  if (status === 401 || status === 403) {
    return failure(
      'ModelAuthentication',
      `${message}. Check the provider's API key and base URL on the worker`,
    );
  }
  if (thrown.code === 'insufficient_quota') {
    return failure(
      'ModelQuotaExhausted',
      `${message}. Raise the account's limit at the provider, then start the run again`,
    );
  }
  const wish = headers?.get('x-should-retry');
  const passing = [408, 409, 425, 429].includes(status) || status >= 500;
  if (passing || wish === 'true') {
    return failure('ModelUnavailable', message, {
      nextRetryMs,
      final: wish === 'false',
      ...(status === 429 && { details: [{ status }] }),
    });
  }
  const tooLong = thrown.code === 'context_length_exceeded' || tooLongWords.test(said);
  return failure('ModelBadRequest', message, { details: [{ status, ...(tooLong && { tooLong }) }] });
}

/** How servers say that a conversation is longer than the model takes: OpenAI, vLLM, llama.cpp, Azure, Mistral, OpenRouter. */
const tooLongWords =
  /context.{0,20}(length|window|size)|maximum context|prompt is too long|too many (input )?tokens|exceeds? the (available )?context/i;

/** Whether the provider refused a request because the conversation is longer than the model takes. */
export function isTooLong(thrown: unknown): boolean {
  if (!(thrown instanceof ApplicationFailure) || thrown.type !== 'ModelBadRequest') return false;
  return (thrown.details ?? []).some((detail) => (detail as { tooLong?: boolean } | null)?.tooLong === true);
}

/** For how long the provider wants to be left alone, in milliseconds; 0 where it was asked too often and does not say. */
export function throttledFor(thrown: unknown): number | undefined {
  if (!(thrown instanceof ApplicationFailure) || thrown.type !== 'ModelUnavailable') return undefined;
  const tooOften = thrown.details?.some((detail) => (detail as { status?: number } | null)?.status === 429);
  return thrown.nextRetryDelay === undefined || thrown.nextRetryDelay === null
    ? tooOften
      ? 0
      : undefined
    : msToNumber(thrown.nextRetryDelay);
}

function retryAfter(headers: Headers | undefined): number | undefined {
  const milliseconds = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(milliseconds) && milliseconds > 0) return Math.min(milliseconds, longestRetryAfterMs);
  const text = headers?.get('retry-after');
  if (!text) return undefined;
  const seconds = Number(text);
  const delay = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(delay) && delay > 0 ? Math.min(delay, longestRetryAfterMs) : undefined;
}

/** An error without the request, headers and body that the client hangs on its own. */
function plainError(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}
