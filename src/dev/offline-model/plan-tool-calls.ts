import type { ToolUse } from './classify-tools.ts';
import { classifyTool, ofKind, toolText } from './classify-tools.ts';
import { unknownTerms } from './known.ts';
import { completeArguments } from './complete-arguments.ts';
import { findActionLacks, planActions } from './plan-actions.ts';
import { asksForUnnamed, isMade, planLookups } from './plan-lookups.ts';
import { planReads } from './plan-reads.ts';
import { planSearches } from './plan-searches.ts';
import type { Situation } from './read-request.ts';
import type { Term } from './terms.ts';
import { holds, overlap, stems } from './terms.ts';
import type { PlannedCall } from './planned-call.ts';

const MOST_ROUNDS = 8;

/**
 * Which tools to call next; none means that it is time to answer. The order: hand over, look up what is named, do what was
 * asked for, search and read, ask others. It ends by itself, because no call is repeated and each kind is bounded.
 */
export function planToolCalls(situation: Situation): PlannedCall[] {
  const uses = situation.tools.map(classifyTool);
  if (situation.rounds >= MOST_ROUNDS || isDone(uses, situation)) return [];
  const steps = [
    () => planHandoff(uses, situation),
    () => planLookups(ofKind(uses, 'lookup'), situation),
    () => planActions(ofKind(uses, 'action'), situation),
    () => planResearch(uses, situation),
    () => planQuestions(uses, situation),
  ];
  for (const step of steps) {
    const calls = withoutRepeats(step().filter((call) => !isMade(call, situation)));
    if (calls.length > 0) return calls;
  }
  return [];
}

/** Once what was asked for has been done, there is nothing left to find out. */
function isDone(uses: ToolUse[], { calls }: Situation): boolean {
  const actions = new Set(ofKind(uses, 'action').map(({ tool }) => tool.function.name));
  return calls.some(({ tool, earlier, failed }) => actions.has(tool) && !earlier && !failed);
}

function planResearch(uses: ToolUse[], situation: Situation): PlannedCall[] {
  if (asksForUnnamed(ofKind(uses, 'lookup'), situation)) return [];
  return [...planReads(ofKind(uses, 'read'), situation), ...planSearches(ofKind(uses, 'search'), situation)];
}

/** Control goes to another agent only at the start, and only where its description fits better than any own tool's. */
function planHandoff(uses: ToolUse[], situation: Situation): PlannedCall[] {
  const handoffs = ofKind(uses, 'handoff');
  if (handoffs.length === 0 || situation.rounds > 0) return [];
  const { terms } = situation;
  const texts = uses.map(({ tool }) => stems(toolText(tool)));
  const fit = ({ tool }: ToolUse): number => {
    const own = stems(toolText(tool));
    return terms.reduce((total, term) => total + (holds(own, term) ? 1 / holding(texts, term) : 0), 0);
  };
  const best = handoffs.toSorted((a, b) => fit(b) - fit(a))[0];
  if (!best || fit(best) === 0) return [];
  const others = uses.filter(({ kind }) => kind !== 'handoff').map(fit);
  return fit(best) > Math.max(0, ...others) ? [{ tool: best.tool, arguments: {} }] : [];
}

function holding(texts: Set<string>[], term: Term): number {
  return texts.filter((found) => holds(found, term)).length;
}

/** Tools that take a question as it is, and those that need nothing, each once, while something is still unknown. */
function planQuestions(uses: ToolUse[], situation: Situation): PlannedCall[] {
  if (unknownTerms(situation).length === 0) return [];
  // Who asks for something to be done is asked for what it takes.
  if (findActionLacks(ofKind(uses, 'action'), situation).length > 0) return [];
  const asks = ofKind(uses, 'ask').map(({ tool, parameter }) => ({
    tool,
    arguments: { [parameter]: situation.question },
  }));
  const others = ofKind(uses, 'other')
    .map(({ tool }) => ({ tool, arguments: {} }))
    .filter((call) => completeArguments(call, situation).missing.length === 0);
  const lists = ofKind(uses, 'list').map(({ tool }) => ({ tool, arguments: {} }));
  const untried = [...asks, ...others, ...lists].filter(
    ({ tool }) => !situation.calls.some((call) => call.tool === tool.function.name && !call.earlier),
  );
  const fitting = untried.filter(({ tool }) => overlap(situation.terms, toolText(tool)) > 0);
  const nothingKnown = situation.statements.length + situation.records.length === 0;
  if (fitting.length > 0 || !nothingKnown) return fitting;
  return untried.filter(({ tool }) => !others.some((other) => other.tool === tool));
}

function withoutRepeats(calls: PlannedCall[]): PlannedCall[] {
  const seen = new Set<string>();
  return calls.filter((call) => {
    const key = `${call.tool.function.name} ${JSON.stringify(call.arguments)}`;
    return !seen.has(key) && seen.add(key);
  });
}
