/**
 * What workers do for a run beyond its turns. Types alone: it is JSON, as everything that crosses a boundary.
 */

/** What the workers of a run are configured to do for it, beyond its turns. */
export interface Features {
  /** The run's history is archived when it closes. */
  archive?: true;
  /** The namespace has the search attributes, which the run keeps up to date. */
  searchAttributes?: true;
}

/** The argument of the `archiveRun` workflow, and the input of `storeArchive`. */
export interface ArchiveRequest {
  workflowId: string;
  runId: string;
  agent: string;
}

/** The result of `storeArchive`: where the archive is, or that the run has not ended yet. */
export type ArchiveOutcome = { key: string; bytes: number } | { open: true };
