import type { ChatMessage, ChatRequest, ChatTool, JsonSchema } from '../../testing/chat-protocol.ts';
import { messageText } from '../../testing/chat-protocol.ts';
import { classifyTool } from './classify-tools.ts';
import type { ToolUse } from './classify-tools.ts';
import { isObject, parseCutJson, parseJson } from './json.ts';
import type { JsonObject } from './json.ts';
import type { DataRecord } from './passages.ts';
import { collectMaterial, isIdentityName } from './passages.ts';
import type { Statement } from './statements.ts';
import { toStatements } from './statements.ts';
import type { Term } from './terms.ts';
import { keyTerms, nameWords } from './terms.ts';

/** What a request comes to: what is asked, what may be done about it, and what is known so far. */
export interface Situation {
  question: string;
  /** What the question is about. */
  terms: Term[];
  /** All that the user says: the message, or the texts of the JSON that was sent in its place, without lists of material. */
  message: string;
  /** What the user has said since the last answer: the message without what it is understood together with. */
  latest: string;
  /** The message where it was a JSON object. */
  input: JsonObject | undefined;
  instructions: string;
  tools: ChatTool[];
  calls: PastCall[];
  /** Turns with tool calls since the question. */
  rounds: number;
  statements: Statement[];
  records: DataRecord[];
  outputSchema: JsonSchema | undefined;
}

export interface PastCall {
  tool: string;
  arguments: JsonObject;
  result: unknown;
  /** The result says that the call did not work or found nothing. */
  failed: boolean;
  /** What its tool is for; absent where the tool is no longer there. */
  kind: ToolUse['kind'] | undefined;
  /** Made for an earlier question of the same conversation. */
  earlier: boolean;
}

/** Names of a property that asks, the plainest first; then names of those that together say what a message is about. */
const ASKING_NAMES = ['question', 'query', 'request', 'task', 'ask', 'goal', 'prompt', 'instruction'];
const TELLING_NAMES =
  /^(subject|topic|title|problem|message|text|body|input|content|email|ticket|complaint)$/;
const CORRECTION =
  /\b(your|the) (last |previous |final )?(reply|answer|output|response|message|arguments?|tool calls?)\b.{0,80}\b(valid|invalid|schema|json|fits?|empty|parsed?|unknown|expected|cut off|bytes|briefly)\b/is;
/** Said of what a tool needs and nobody has said. */
export const WHAT_IS_LACKING = 'which the message does not give';
const FAILURE =
  /^\s*(error\b|failed\b|not executed|refused|rejected|the arguments\b|the tool "|there (is|are) no\b|no\b|nothing\b|unknown\b|can(no|')t\b|could not\b)|\b(not found|does not exist|timed out|is unknown)\b/i;
const LONGEST_FAILURE = 200;
const LONGEST_LABEL = 40;
const LONG_MESSAGE = 400;

/** Understands a request by rules alone: roles, JSON or plain text, tool calls and their results. */
export function readRequest(request: ChatRequest): Situation {
  const { messages } = request;
  const asking = askingMessages(messages);
  const current = messages.indexOf(asking[0] ?? (messages.at(-1) as ChatMessage));
  const texts = asking.map(messageText);
  const inputs = texts.map(parseJson);
  const input = inputs.find(isObject);
  const question = texts.map((text, at) => questionOf(text, inputs[at])).join('\n');
  const tools = (request.tools ?? []).filter(({ type }) => type === 'function');
  const calls = pastCalls(messages, current, tools);
  const known = collectKnown(calls, input, texts);
  const format = request.response_format;
  return {
    question,
    terms: keyTerms(question),
    message: texts
      .map((text, at) => (isObject(inputs[at]) ? ownTexts(inputs[at]).join('\n') : text))
      .join('\n'),
    latest: sinceLastAnswer(messages),
    input,
    instructions: messages
      .filter(({ role }) => role === 'system' || role === 'developer')
      .map(messageText)
      .join('\n'),
    tools,
    calls,
    rounds: messages.slice(current).filter((message) => message.tool_calls?.length).length,
    ...known,
    outputSchema: outputSchema(format),
  };
}

/** What an object asks, by the names of its properties; undefined where none says anything of the kind. */
export function questionIn(value: JsonObject): string | undefined {
  const texts = Object.entries(value).flatMap(([name, member]) =>
    typeof member === 'string' && member.trim() !== '' ? [{ parts: nameWords(name), text: member }] : [],
  );
  for (const wanted of ASKING_NAMES) {
    const asking = texts.find(({ parts }) => parts.includes(wanted));
    if (asking) return asking.text;
  }
  const telling = texts.filter(({ parts }) => TELLING_NAMES.test(parts.at(-1) ?? ''));
  return telling.length > 0 ? telling.map(({ text }) => text).join('\n') : undefined;
}

/** Since the last answer, everything the user said; before it only where that is a mere request to correct the form. */
function askingMessages(messages: ChatMessage[]): ChatMessage[] {
  const users = messages.filter(({ role }) => role === 'user');
  const asked = users.filter((message) => !CORRECTION.test(messageText(message)));
  const lastAsked = asked.at(-1);
  if (!lastAsked) return users.slice(0, 1);
  const answeredBefore = messages.slice(0, messages.indexOf(lastAsked)).findLastIndex(isAnswer);
  const current = asked.filter((message) => messages.indexOf(message) > answeredBefore);
  const earlier = asked.filter((message) => !current.includes(message));
  // "And the other one?" asks nothing by itself, nor does what was asked back.
  const says = keyTerms(current.map(messageText).join('\n')).length;
  const answer = messages[answeredBefore];
  const isAskedBack = answer !== undefined && messageText(answer).includes(WHAT_IS_LACKING);
  return says < 2 || isAskedBack ? [...earlier.slice(-1), ...current] : current;
}

function sinceLastAnswer(messages: ChatMessage[]): string {
  const answered = messages.findLastIndex(isAnswer);
  return messages
    .slice(answered + 1)
    .filter(({ role }) => role === 'user')
    .map(messageText)
    .join('\n');
}

function isAnswer({ role, tool_calls: calls }: ChatMessage): boolean {
  return role === 'assistant' && !calls?.length;
}

function questionOf(text: string, parsed: unknown): string {
  if (typeof parsed === 'string') return parsed;
  if (!isObject(parsed)) return text;
  const named = questionIn(parsed) ?? Object.values(parsed).filter(isObject).map(questionIn).find(Boolean);
  const around = `${text.slice(0, text.indexOf('{'))} ${text.slice(text.lastIndexOf('}') + 1)}`.trim();
  // "Input:" before the JSON says nothing; a sentence around it is what is asked.
  if (around.length > LONGEST_LABEL) return named === undefined ? around : `${around}\n${named}`;
  if (named !== undefined) return named;
  const strings = Object.values(parsed).filter((member) => typeof member === 'string');
  return strings.length > 0 ? strings.join('\n') : text;
}

function ownTexts(value: JsonObject): string[] {
  return Object.values(value).flatMap((member) => {
    if (typeof member === 'string' || typeof member === 'number') return [String(member)];
    return isObject(member) ? ownTexts(member) : [];
  });
}

function pastCalls(messages: ChatMessage[], current: number, tools: ChatTool[]): PastCall[] {
  const kinds = new Map(tools.map((tool) => [tool.function.name, classifyTool(tool).kind]));
  return messages.flatMap((message, position) =>
    (message.tool_calls ?? []).map((call) => {
      const answer = messages.find(
        (other, at) => at > position && other.role === 'tool' && other.tool_call_id === call.id,
      );
      const text = answer ? messageText(answer) : '';
      const result = parseResult(text);
      const parsed = parseJson(call.function.arguments);
      const kind = kinds.get(call.function.name);
      return {
        tool: call.function.name,
        arguments: isObject(parsed) ? parsed : {},
        result,
        // An action need not return anything.
        failed: isFailure(result) && !(kind === 'action' && isEmpty(result)),
        kind,
        earlier: position < current,
      };
    }),
  );
}

function parseResult(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === 'null' || trimmed === '') return undefined;
  if (!/^[[{"]/.test(trimmed)) return text;
  return parseJson(trimmed) ?? parseCutJson(trimmed) ?? text;
}

/** Whether a result holds nothing at all. */
export function isEmpty(result: unknown): boolean {
  if (result === undefined || result === '') return true;
  return typeof result === 'object' && result !== null && Object.keys(result).length === 0;
}

/** Whether a tool's result is an error, or says that there is nothing. */
function isFailure(result: unknown): boolean {
  if (result === undefined || (Array.isArray(result) && result.length === 0)) return true;
  if (typeof result === 'string') {
    return FAILURE.test(result) && result.indexOf('\n') === -1 && result.length <= LONGEST_FAILURE;
  }
  if (!isObject(result)) return false;
  if (Object.keys(result).length === 0) return true;
  if (result['error'] !== undefined && result['error'] !== null && result['error'] !== false) return true;
  if (result['found'] === false || result['ok'] === false || result['success'] === false) return true;
  // An envelope around empty lists, with counts of nothing.
  const members = Object.values(result);
  const isNone = (member: unknown): boolean => Array.isArray(member) && member.length === 0;
  return members.some(isNone) && members.every((member) => isNone(member) || typeof member === 'number');
}

function collectKnown(calls: PastCall[], input: JsonObject | undefined, texts: string[]) {
  const isWorking = calls.some(({ earlier }) => !earlier);
  const fromCalls = calls
    // What was done for an earlier message is no answer to this one.
    .filter(({ kind, earlier }) => !(kind === 'action' && earlier && isWorking))
    // What an action says is quoted as its own.
    .filter(({ failed, kind, result }) => !failed && !(kind === 'action' && typeof result === 'string'))
    .map((call) => ({ ...collectMaterial(call.result, call.tool), subject: subjectOf(call) }))
    .map(({ passages, records, subject }) => ({
      passages,
      records: records.map((record) => ({ ...record, ...subject })),
    }));
  const fromInput = input ? inputMaterial(input) : [];
  const all = [...fromInput, ...fromCalls];
  const passages = all.flatMap((material) => material.passages);
  const records = all.flatMap((material) => material.records);
  if (all.every((material) => material.passages.length + material.records.length === 0)) {
    // Nothing else to go by: a long message is itself what is to be worked on.
    passages.push(...texts.filter((text) => text.length > LONG_MESSAGE).map((text) => ({ text })));
  }
  return { statements: toStatements(passages), records };
}

/** What the records are of that a call gave, where they do not say it: what was looked up, or what was done. */
function subjectOf({ tool, arguments: given, kind }: PastCall): Pick<DataRecord, 'subject' | 'action'> {
  const [named, ...others] = Object.entries(given).filter(([name]) => isIdentityName(name));
  return {
    ...(named && others.length === 0 && { subject: String(named[1]) }),
    ...(kind === 'action' && { action: nameWords(tool).join(' ') }),
  };
}

/** What was handed over with a question: the lists, objects and long texts beside it, but not the work to be judged. */
function inputMaterial(input: JsonObject) {
  const question = questionIn(input) ?? '';
  return Object.entries(input)
    .filter(
      ([name, member]) =>
        !(typeof member === 'string' && question.includes(member)) &&
        !isWorkName(name) &&
        !isRemarkName(name),
    )
    .filter(([, member]) => typeof member === 'object' || (typeof member === 'string' && member.length > 80))
    .map(([name, member]) => collectMaterial(member, name));
}

/** A property that holds work to be judged or improved: `draft`, `previousAnswer`. */
export function isWorkName(name: string): boolean {
  return nameWords(name).some((part) =>
    /^(draft|answer|candidate|proposal|reply|report|submission)$/.test(part),
  );
}

/** A property that holds remarks about earlier work: `feedback`, `problems`. */
export function isRemarkName(name: string): boolean {
  return nameWords(name).some((part) =>
    /^(feedback|problems?|issues?|remarks?|comments?|critique|review|missing|gaps?|corrections?)$/.test(part),
  );
}

function outputSchema(format: ChatRequest['response_format']): JsonSchema | undefined {
  if (format?.type === 'json_schema') return format.json_schema?.schema ?? {};
  return format?.type === 'json_object' ? {} : undefined;
}
