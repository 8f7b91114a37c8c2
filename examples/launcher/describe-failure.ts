import { ApplicationFailure } from '@temporalio/common';

/** What went wrong, in one sentence for people: of a chain of causes the one that names the failure. */
export function describeFailure(thrown: unknown): string {
  const chain: Error[] = [];
  for (let at = thrown; at instanceof Error && !chain.includes(at); at = at.cause) chain.push(at);
  const named = chain.find(
    (error) => error instanceof ApplicationFailure && error.type && error.type !== 'Error',
  );
  if (named instanceof ApplicationFailure) return `${named.type}: ${named.message}`;
  return chain.at(-1)?.message ?? String(thrown);
}
