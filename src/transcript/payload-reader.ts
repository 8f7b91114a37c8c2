import type { LoadedDataConverter, Payload, SerializationContext } from '@temporalio/common';
import {
  decodeFromPayloadsAtIndex,
  decodeOptionalFailureToOptionalError,
  ExternalStorageRunner,
  isReferencePayload,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { temporal } from '@temporalio/proto';
import { describeThrown, failure } from '../protocol/failures.ts';

type Payloads = temporal.api.common.v1.IPayloads | null | undefined;
type Failure = temporal.api.failure.v1.IFailure | null | undefined;

/** Whose payloads are read: converters and codecs may depend on it. */
export interface PayloadOwner {
  namespace: string;
  workflowId: string;
}

/**
 * Reads what history events carry: from external storage, through the codecs, then the converter, with the serialization
 * context in which it was written.
 *
 * Throws `TranscriptGone` for an externally stored object that is missing, `TranscriptUnavailable` for other trouble.
 */
export interface PayloadReader {
  workflow(payloads: Payloads): Promise<unknown>;
  /** Input or result of a child, whose own id is the context. */
  child(payloads: Payloads, workflowId: string): Promise<unknown>;
  activity(payloads: Payloads, activityId: string): Promise<unknown>;
  activityFailure(failure: Failure, activityId: string): Promise<Error | undefined>;
  workflowFailure(failure: Failure): Promise<Error | undefined>;
}

/** Makes a {@link PayloadReader} for one workflow's events. */
export function createPayloadReader(converter: LoadedDataConverter, owner: PayloadOwner): PayloadReader {
  const storage = converter.externalStorage && new ExternalStorageRunner(converter.externalStorage);
  const workflowContext: SerializationContext = { type: 'workflow', ...owner };
  const activityContext = (activityId: string): SerializationContext => ({
    type: 'activity',
    ...owner,
    activityId,
    isLocal: false,
  });

  async function read(payloads: Payloads, context: SerializationContext): Promise<unknown> {
    const stored = payloads?.payloads as Payload[] | null | undefined;
    if (!stored || stored.length === 0) return undefined;
    return await decodeFromPayloadsAtIndex(converter, 0, await retrieve(stored), context);
  }

  async function retrieve(stored: Payload[]): Promise<Payload[]> {
    if (!stored.some(isReferencePayload)) return stored;
    if (!storage) {
      throw failure(
        'TranscriptGone',
        'the history refers to external storage, and this process has none configured',
      );
    }
    try {
      return await storage.retrieve(stored);
    } catch (thrown) {
      const cause = thrown instanceof Error ? thrown : undefined;
      const missing = isMissing(thrown);
      throw missing
        ? failure('TranscriptGone', `an externally stored payload is gone: ${describeThrown(thrown)}`, {
            cause,
          })
        : failure('TranscriptUnavailable', `external storage did not answer: ${describeThrown(thrown)}`, {
            cause,
          });
    }
  }

  async function readFailure(stored: Failure, context: SerializationContext): Promise<Error | undefined> {
    const retrieved = await mapFailure(stored, retrieve);
    return await decodeOptionalFailureToOptionalError(converter, retrieved as never, context);
  }

  return {
    workflow: async (payloads) => await read(payloads, workflowContext),
    child: async (payloads, workflowId) =>
      await read(payloads, { type: 'workflow', namespace: owner.namespace, workflowId }),
    activity: async (payloads, activityId) => await read(payloads, activityContext(activityId)),
    activityFailure: async (stored, activityId) => await readFailure(stored, activityContext(activityId)),
    workflowFailure: async (stored) => await readFailure(stored, workflowContext),
  };
}

/** A failure with its payloads mapped: it carries some of its own, and so do its causes. */
async function mapFailure(
  stored: Failure,
  map: (payloads: Payload[]) => Promise<Payload[]>,
): Promise<Failure> {
  if (!stored) return stored;
  const mapAll = async (all: Payloads) =>
    all?.payloads ? { payloads: await map(all.payloads as Payload[]) } : null;
  const { encodedAttributes, cause, applicationFailureInfo, timeoutFailureInfo, canceledFailureInfo } =
    stored;
  const mapped = { ...stored };
  if (encodedAttributes) mapped.encodedAttributes = (await map([encodedAttributes as Payload]))[0] ?? null;
  if (cause) mapped.cause = (await mapFailure(cause, map)) ?? null;
  if (applicationFailureInfo) {
    const details = await mapAll(applicationFailureInfo.details);
    mapped.applicationFailureInfo = { ...applicationFailureInfo, details };
  }
  if (timeoutFailureInfo) {
    const lastHeartbeatDetails = await mapAll(timeoutFailureInfo.lastHeartbeatDetails);
    mapped.timeoutFailureInfo = { ...timeoutFailureInfo, lastHeartbeatDetails };
  }
  if (canceledFailureInfo) {
    mapped.canceledFailureInfo = {
      ...canceledFailureInfo,
      details: await mapAll(canceledFailureInfo.details),
    };
  }
  return mapped;
}

/** Drivers have no common error for an absent object; these are the marks that file systems and S3 leave. */
function isMissing(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code, name } = error as Error & { code?: unknown };
    if (code === 'ENOENT' || name === 'NoSuchKey' || name === 'NotFound' || code === 'NoSuchKey') return true;
    if (/not found|no such (key|file|object)|does not exist/i.test(error.message)) return true;
  }
  return false;
}
