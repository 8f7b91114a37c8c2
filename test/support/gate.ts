/** A promise that somebody else resolves. */
export interface Gate {
  opened: Promise<void>;
  open: () => void;
}

/** Makes a {@link Gate}. */
export function gate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Waits for the gate, and fails with the signal's reason when that is aborted before. */
export async function passOrAbort({ opened }: Gate, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  signal.throwIfAborted();
  await Promise.race([opened, aborted]);
}
