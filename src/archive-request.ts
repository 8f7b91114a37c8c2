/**
 * What the archiving of a run is asked, and answers. Types alone: it is JSON, as everything that crosses a boundary.
 */

/** The argument of the `archiveRun` workflow, and the input of `storeArchive`. */
export interface ArchiveRequest {
  workflowId: string;
  runId: string;
  agent: string;
}

/** The result of `storeArchive`: where the archive is, or that the run has not ended yet. */
export type ArchiveOutcome = { key: string; bytes: number } | { open: true };
