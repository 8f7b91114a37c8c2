/**
 * Told of every activity under way, so that somebody outside the event loop can keep them alive when a tool blocks it.
 * The worker's watchdog is one; without it, nothing watches.
 */
export interface ActivityWatch {
  /** An activity began; call what is returned when it has ended. */
  track(taskToken: Uint8Array, tool?: string): TrackedActivity;
}

/** One activity under way. */
export interface TrackedActivity {
  /** Runs the tool's own code, so that a block of the event loop can be traced to it. */
  run<T>(work: () => T): T;
  end(): void;
}

/** Watches nothing. */
export const noWatch: ActivityWatch = {
  track: () => ({ run: (work) => work(), end: () => undefined }),
};
