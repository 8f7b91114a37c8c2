import type { Priority } from '@temporalio/common';
import { digestText } from '../protocol/digest.ts';

/** Temporal takes no longer one. */
const longestKey = 64;

/** A run's priority: that of its tenant among the others, unless it says another fairness key. */
export function priorityOf({
  priority,
  tenant,
}: {
  priority?: Priority;
  tenant?: string;
}): Priority | undefined {
  if (tenant === undefined || priority?.fairnessKey !== undefined) return priority;
  const fairnessKey = Buffer.byteLength(tenant) > longestKey ? digestText(tenant) : tenant;
  return { ...priority, fairnessKey };
}
