import type { AgentStart } from '../../protocol/protocol.ts';

type Fits = (value: unknown) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text: Fits = (value) => typeof value === 'string';
const number: Fits = (value) => Number.isFinite(value);
const flag: Fits = (value) => typeof value === 'boolean';
const list =
  (of: Fits): Fits =>
  (value) =>
    Array.isArray(value) && value.every(of);
/** An object with all of these, and each of the others as it must be where it is there. */
const object =
  (needed: Record<string, Fits>, others: Record<string, Fits> = {}): Fits =>
  (value) =>
    isObject(value) &&
    Object.entries(needed).every(([key, fits]) => fits(value[key])) &&
    Object.entries(others).every(([key, fits]) => value[key] == null || fits(value[key]));
/** A timer can be set for no longer than some hundred years. */
const milliseconds: Fits = (value) => number(value) && Number(value) <= 100 * 365 * 24 * 3_600_000;
const amounts: Fits = (value) =>
  isObject(value) &&
  Object.entries(value).every(
    ([key, each]) => each == null || (key === 'deadlineMs' ? milliseconds : number)(each),
  );

/** What the workflow itself uses of its argument. What a field holds beyond that is checked where it is used, and what is not known is ignored. */
const fields: { readonly [Field in keyof AgentStart]?: Fits } = {
  limits: amounts,
  lease: amounts,
  model: text,
  tenant: text,
  attachments: list(isObject),
  policy: object({ own: list(isObject), inherited: list(isObject), heard: number, epoch: number }),
  control: object({ epoch: number, paused: flag }),
  tree: object({ depth: number, path: list(text), root: text, call: text }),
  open: object({}, { idleTimeoutMs: milliseconds, answering: list(text) }),
  concurrency: object({ key: text }, { limit: number, onConflict: text }),
  conversation: isObject,
  continued: object({ state: isObject }),
  features: isObject,
};

/**
 * What keeps a value from being the argument of a run, in words for whoever started it: anybody may, from the Web UI with anything, and an error in the
 * middle of it would fail workflow tasks for ever.
 */
export function startProblem(start: unknown): string | undefined {
  if (!isObject(start) || typeof start['agent'] !== 'string')
    return 'the workflow needs one argument: { agent, input }';
  for (const [field, fits] of Object.entries(fields)) {
    if (start[field] === undefined || fits(start[field])) continue;
    return `"${field}" of the workflow's argument is not of the form that a client gives it; leave it out, or start the run by a client`;
  }
  return undefined;
}
