import type { ToolUse } from './classify-tools.ts';
import { toolParameters, toolText } from './classify-tools.ts';
import { completeArguments } from './complete-arguments.ts';
import { findValues, valuesNamed } from './find-values.ts';
import type { JsonObject } from './json.ts';
import type { PlannedCall } from './planned-call.ts';
import type { Lack } from './plan-lookups.ts';
import type { Situation } from './read-request.ts';
import { holds, keyTerms, overlap, stems, words } from './terms.ts';

type Action = Extract<ToolUse, { kind: 'action' }>;

/** An action is planned only where the user plainly asks for it and everything it needs is known. */
export function planActions(tools: Action[], situation: Situation): PlannedCall[] {
  const current = situation.calls.filter(({ earlier }) => !earlier);
  if (current.length > 0 && current.every(({ failed }) => failed)) return [];
  for (const use of askedActions(tools, situation)) {
    const call = { tool: use.tool, arguments: identify(use, situation) };
    if (completeArguments(call, situation).missing.length === 0) return [call];
  }
  return [];
}

/** What actions need that were asked for and cannot be called, because nobody has said it. */
export function findActionLacks(tools: Action[], situation: Situation): Lack[] {
  return askedActions(tools, situation).flatMap((use) => {
    const call = { tool: use.tool, arguments: identify(use, situation) };
    const { missing } = completeArguments(call, situation);
    const parameters = toolParameters(use.tool).filter(({ name }) => missing.includes(name));
    return parameters.length > 0 ? [{ tool: use.tool.function.name, parameters }] : [];
  });
}

/** The actions that are asked for and were not tried since, the one that fits best first. */
function askedActions(tools: Action[], situation: Situation): Action[] {
  return tools
    .filter(({ tool, words: asking }) => {
      const made = situation.calls.filter((call) => call.tool === tool.function.name);
      if (made.some(({ earlier }) => !earlier)) return false;
      // What was done for an earlier message is not done again for a word of thanks.
      const said = made.length > 0 ? situation.latest : situation.question;
      return asking.some((word) => isAskedFor(word, said));
    })
    .toSorted(
      (a, b) => overlap(situation.terms, toolText(b.tool)) - overlap(situation.terms, toolText(a.tool)),
    );
}

/** What the action is done to: as the message or what was looked up names it. */
function identify({ tool }: Action, situation: Situation): JsonObject {
  const identifiers = toolParameters(tool).filter(
    ({ name, required }) => required && /(^|_)(id|email|code|number|ref)$|Id$|Email$|Number$/.test(name),
  );
  const results = situation.calls.filter(({ failed }) => !failed).map(({ result }) => result);
  const given = identifiers.flatMap((parameter) => {
    const [value] = [...findValues(parameter, situation), ...valuesNamed(parameter.name, results)];
    return value === undefined ? [] : [[parameter.name, value] as const];
  });
  return Object.fromEntries(given);
}

const OPENING = /^(?:(?:then|so|ok|okay|yes|no|now|well|just|also|and|but|please|kindly)\b,?\s*)+/i;
const WISH =
  /^(?:(?:can|could|would|will) you\b|(?:i|we)(?:'d| would| do)? (?:want|like|need)\b|(?:i|we) ask for\b|give (?:me|us)\b|let (?:me|us) have\b|go ahead\b)/i;
/** Whoever wants to know something about an action does not want it done. */
const WONDERS = /\b(?:know|how|whether|if|why|what|when|where|who|explain|tell|understand)\b/i;
const ASKS_WHETHER =
  /^(?:can|could|may|do|does|did|is|are|how|what|when|why|where|which|who)\b(?! you\b).*\?/i;

/** "Refund order 17", "please cancel it", "I want my money back"; not "can I get a refund?" or "how do refunds work?" */
function isAskedFor(word: string, message: string): boolean {
  const [term] = words(word);
  if (!term) return false;
  return message
    .split(/(?<=[.?!;])\s+|\n+/)
    .flatMap((sentence) => sentence.split(/,?\s+(?:and|but|then)\s+/))
    .map((sentence) => sentence.trim().replaceAll('’', "'"))
    .some((sentence) => {
      if (ASKS_WHETHER.test(sentence)) return false;
      const polite = /^(?:please|kindly)\b|\bplease\b[.! ]*$/i.test(sentence);
      const rest = sentence.replace(OPENING, '');
      const [first] = keyTerms(rest);
      // The verb of an imperative stands at its beginning, but for an article.
      const begins = /^(?:a |an |my |the )?\S+/i.exec(rest)?.[0] ?? '';
      if (first && holds(stems(begins), term)) return true;
      return (polite || WISH.test(rest)) && !WONDERS.test(rest) && holds(stems(rest), term);
    });
}
