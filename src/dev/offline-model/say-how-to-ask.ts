import { classifyTool, ofKind } from './classify-tools.ts';
import type { ExtractedAnswer } from './extract-answer.ts';
import { findActionLacks } from './plan-actions.ts';
import type { Situation } from './read-request.ts';
import { sayLack, sayLacks } from './say-what-is-missing.ts';

const MOST_TOOLS = 12;

/** What is still to be said so that something can be done, or what may be asked at all where nothing was. */
export function sayHowToAsk(situation: Situation, answer: ExtractedAnswer): string[] {
  const actions = ofKind(situation.tools.map(classifyTool), 'action');
  const lacks = findActionLacks(actions, situation).flatMap(sayLack);
  const isTold = lacks.length > 0 || answer.found || sayLacks(situation).length > 0;
  return isTold ? lacks : sayTools(situation);
}

function sayTools({ tools, calls }: Situation): string[] {
  if (calls.some(({ earlier }) => !earlier)) return [];
  if (tools.length === 0)
    return ['The agent has no tools, and this stand-in for a model has nothing of its own to say.'];
  const told = tools
    .slice(0, MOST_TOOLS)
    .map(({ function: { name, description } }) => `- ${name}${description ? `: ${description}` : ''}`);
  return ['This stand-in for a model calls a tool where a message names what the tool needs:', ...told];
}
