import { vi } from 'vitest';

/** A condition that is waited for without a time of its own has this long: the second that it has otherwise is little on a busy machine. */
const patienceMs = 20_000;

const { waitFor } = vi;
vi.waitFor = (condition, options) => {
  const own = typeof options === 'number' ? { timeout: options } : options;
  return waitFor(condition, { timeout: patienceMs, ...own });
};
