/** Ids remembered at most: memory of an idle run, which a continue-as-new carries on. */
export const mostRemembered = 1_000;

/** The last ids that were used, so that a message or a decision that is sent again counts once. Of more than 1,000 the oldest are forgotten. */
export class RememberedIds implements Iterable<string> {
  private readonly ids: Set<string>;

  /** With those of the run that this one continues. */
  constructor(carried: Iterable<string> = []) {
    this.ids = new Set(carried);
  }

  has(id: string): boolean {
    return this.ids.has(id);
  }

  get size(): number {
    return this.ids.size;
  }

  /** Remembers an id, behind those that were used before it; whether it is new. */
  add(id: string): boolean {
    if (this.ids.has(id)) return false;
    this.ids.add(id);
    for (const oldest of this.ids) {
      if (this.ids.size <= mostRemembered) break;
      this.ids.delete(oldest);
    }
    return true;
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.ids.values();
  }
}
