import type { JsonSchema } from '../../testing/chat-protocol.ts';
import type { ExtractedAnswer } from './extract-answer.ts';
import type { Situation } from './read-request.ts';
import type { Review } from './review-draft.ts';
import type { Statement } from './statements.ts';
import type { Term } from './terms.ts';

/** Everything a schema can be filled from. */
export interface FillContext {
  situation: Situation;
  answer: ExtractedAnswer;
  review: Review | undefined;
  root: JsonSchema;
  /** The statement that an element of a list is about. */
  statement?: Statement;
  /** The terms that spoke for the options chosen so far. */
  because: Term[];
  /** It is a tool's arguments that are filled: texts are what the user said, not an answer to it. */
  call?: {
    /** The tool's name and description. */
    about: string;
    /** What the message says for other arguments. */
    taken: ReadonlySet<string>;
  };
  depth: number;
  /** Fills whatever a part of the schema asks for. */
  fill(schema: JsonSchema, name: string, context: FillContext): Filled;
}

/** A value that fits the schema, and whether anything that was given stands behind it. */
export interface Filled {
  value: unknown;
  known: boolean;
}
