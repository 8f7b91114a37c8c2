import { DefaultFailureConverter } from '@temporalio/common';

/** Moves messages and stack traces of failures into a payload, so that the codec encrypts them. Also part of workflow bundles. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
