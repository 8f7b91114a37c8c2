/** Where a contender works: what its process is given. */
export interface PeerPlace {
  /** Of the Temporal server. */
  readonly address: string;
  readonly taskQueue: string;
  /** Of the model server. */
  readonly baseURL: string;
  /** A file with the bundled workflows; without it the worker bundles them itself, as it does by default. */
  readonly bundle?: string | undefined;
  /** Of the PostgreSQL database, for a contender that keeps its state there. */
  readonly database?: string | undefined;
  /** A file to which each call of the tool adds a line: what happened, whoever forgets it. */
  readonly ledger?: string | undefined;
}
