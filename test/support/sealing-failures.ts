import { DefaultFailureConverter } from '@temporalio/common';

/** Moves the texts of failures to where codecs reach them. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
