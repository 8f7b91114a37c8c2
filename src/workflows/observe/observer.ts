import { workflowState } from '../workflow-state.ts';

/**
 * Told of a run's turns. It is told and not asked: a promise more or less would change the order of commands, and with it whether a
 * history still replays when somebody begins to watch.
 */
export interface RunObserver {
  turnBegan(agent: string, turn: number): void;
  /** With what was thrown, where something was. */
  turnEnded(turn: number, thrown?: unknown): void;
}

const nobody: Readonly<RunObserver> = { turnBegan: () => undefined, turnEnded: () => undefined };

/** Who is told of the turns of this workflow's run: nobody, unless the worker's bundle has somebody in it. */
export const observer = workflowState<RunObserver>('observer', () => nobody);
