import { plain, printText, styled } from './terminal.ts';

/** A piece of a reply while it is written, and whose it is. */
export interface Piece {
  workflowId: string;
  turn: number;
  attempt: number;
  offset: number;
  text: string;
}

/** Prints the text of replies while it is written; that of another reply or attempt begins on a line of its own. */
export class LivePrinter {
  private readonly style: (text: string) => string;
  private last: { call: string; attempt: number } | undefined;
  private written = '';

  constructor(style: (text: string) => string = (text) => text) {
    this.style = style;
  }

  write({ workflowId, turn, attempt, offset, text }: Piece): void {
    const call = `${workflowId} ${turn}`;
    const { last } = this;
    if (last && (last.call !== call || last.attempt !== attempt)) {
      printText(last.call === call ? styled('dim', ' … asked again\n') : '\n');
      this.written = '';
    }
    this.last = { call, attempt };
    // Whoever finds the connection broken is told from the beginning again.
    const fresh = text.slice(Math.max(0, this.written.length - offset));
    this.written += fresh;
    printText(this.style(plain(fresh)));
  }

  /** The reply is there; returns what was printed of it. */
  end(): string {
    const { written } = this;
    this.last = undefined;
    this.written = '';
    return written;
  }

  /** Whether something was printed that no line break follows. */
  get isWriting(): boolean {
    return this.last !== undefined;
  }
}
