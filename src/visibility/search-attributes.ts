/** The search attributes that runs keep up to date where the namespace has them. Data alone: workflow, worker and command load it. */

/** Their names, with Temporal's types. */
export const searchAttributes = {
  /** The agent's name. */
  CadenzaAgent: 'KEYWORD',
  /** {@link SearchStatus}. */
  CadenzaStatus: 'KEYWORD',
  /** Whether a call waits for a person, in the run or below it. */
  CadenzaWaiting: 'BOOL',
  /** US dollars that the run and those below it had cost when it last waited, or at its end. */
  CadenzaCost: 'DOUBLE',
} as const;

/** What a run is doing, as far as people look for runs by it. */
export type SearchStatus =
  'running' | 'waiting' | 'paused' | 'idle' | 'taken-over' | 'completed' | 'failed' | 'cancelled';

/** The number of a type in Temporal's protocol. */
export const indexedTypes = { KEYWORD: 2, DOUBLE: 4, BOOL: 5 } as const;

/** Which of the attributes a namespace lacks, and which of them it has under another type. Types come as numbers or as names. */
export function missingAttributes(there: Readonly<Record<string, unknown>>): {
  missing: (keyof typeof searchAttributes)[];
  different: (keyof typeof searchAttributes)[];
} {
  const names = Object.keys(searchAttributes) as (keyof typeof searchAttributes)[];
  const isOfType = (name: keyof typeof searchAttributes) => {
    const type = searchAttributes[name];
    return there[name] === indexedTypes[type] || there[name] === `INDEXED_VALUE_TYPE_${type}`;
  };
  return {
    missing: names.filter((name) => there[name] === undefined),
    different: names.filter((name) => there[name] !== undefined && !isOfType(name)),
  };
}
