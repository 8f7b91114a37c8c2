import type { JsonSchema } from '../../testing/chat-protocol.ts';
import { chooseOption } from './choose-option.ts';
import type { FillContext, Filled } from './fill-context.ts';
import { findValues, patternOf, valuesNamed, valuesOfFormat } from './find-values.ts';
import { textRole } from './property-roles.ts';
import type { TextRole } from './property-roles.ts';
import { spokenMessage, spokenPath, spokenText } from './spoken-values.ts';
import { rankStatements } from './rank-statements.ts';
import { citation } from './statements.ts';
import { keyTerms, nameWords } from './terms.ts';

/** What a tool is told in the user's own words. */
const SAID = new Set<TextRole>(['question', 'answer', 'reason', 'remarks', 'quote']);
/** Texts for somebody else. */
const PASSED_ON = /^(body|message|text|content|note|comment)$/;
const LONGEST_TITLE = 80;
/** What stands where a format is demanded and nothing of that form was given: syntactically right, plainly nobody's. */
const EMPTY_FORMATS: Record<string, string> = {
  email: 'unknown@example.invalid',
  uri: 'about:blank',
  url: 'about:blank',
  uuid: '00000000-0000-0000-0000-000000000000',
  date: '0001-01-01',
  time: '00:00:00Z',
  'date-time': '0001-01-01T00:00:00Z',
  duration: 'PT0S',
  ipv4: '0.0.0.0',
  ipv6: '::',
};

/** A text for a property, by what its name and description say it is for. */
export function fillText(schema: JsonSchema, name: string, context: FillContext): Filled {
  const { description } = schema;
  const constrained = schema.format !== undefined || schema.pattern !== undefined;
  const isIdentifier = /(^|[_-])(id|email|code|sku|number)$|(Id|Email|Code|Number)$/i.test(name);
  if (constrained || isIdentifier) return fillExact(schema, name, context);
  const role = textRole(name);
  const { input, calls } = context.situation;
  if (role === undefined) {
    const copied = [input, calls.map(({ result }) => result)].flatMap((place) => valuesNamed(name, place))[0];
    if (copied !== undefined) return { value: sized(String(copied), schema, context), known: true };
  }
  const { call } = context;
  if (call) {
    const said = sayFor(role, name, context, call);
    // What nobody said is the whole message, where it must be something.
    return { value: sized(said ?? context.situation.question, schema, context), known: said !== undefined };
  }
  const text = textFor(role ?? textRole('', description), name, description, context);
  return { value: sized(text, schema, context), known: text !== '' };
}

/** What the message says for a text of a tool. */
function sayFor(
  role: TextRole | undefined,
  name: string,
  context: FillContext,
  call: NonNullable<FillContext['call']>,
): string | undefined {
  const { message, question } = context.situation;
  if (role === 'path') return spokenPath(message) ?? (textFor(role, name, undefined, context) || undefined);
  if (role === undefined) return spokenText(name, message, call);
  if (!SAID.has(role)) return textFor(role, name, undefined, context) || undefined;
  const passed = nameWords(name).some((part) => PASSED_ON.test(part)) ? spokenMessage(message) : undefined;
  return passed ?? question;
}

/** The option of an enum or the value of a format, a pattern or an identifier: taken from what was given, never made up. */
function fillExact(schema: JsonSchema, name: string, context: FillContext): Filled {
  const { situation, answer } = context;
  const parameter = { name, schema, required: true };
  const { format = '' } = schema;
  const cited = answer.picked.map(({ statement }) => statement.text).join('\n');
  const results = situation.calls.map(({ result }) => result);
  const pattern = patternOf(schema);
  const value = [...findValues(parameter, situation), ...valuesNamed(name, results)]
    .map(String)
    .concat(valuesOfFormat(format, `${situation.message}\n${cited}`))
    .find(
      (text) => (format === '' || valuesOfFormat(format, text)[0] === text) && (pattern?.test(text) ?? true),
    );
  if (value !== undefined) return { value, known: true };
  return { value: EMPTY_FORMATS[format] ?? sized('', schema, context), known: false };
}

export function fillEnum(options: unknown[], schema: JsonSchema, context: FillContext): Filled {
  const choices = options.filter((option) => typeof option === 'string' || typeof option === 'number');
  if (choices.length === 0) return { value: options[0], known: false };
  const { situation } = context;
  const texts = [schema.description ?? '', situation.instructions];
  const { option, share, because } = chooseOption(choices, situation.message, texts);
  context.because.push(...because);
  return { value: option, known: share > 0 };
}

function textFor(
  role: TextRole | undefined,
  name: string,
  description: unknown,
  context: FillContext,
): string {
  const { situation, answer, review, statement } = context;
  const first = statement ?? answer.picked[0]?.statement;
  switch (role) {
    case 'question':
      return situation.question;
    case 'query':
      return situation.terms.map(({ word }) => word).join(' ');
    case 'title':
      return statement?.heading ?? titleOf(situation.question);
    case 'path':
      return first?.path ?? (first ? citation(first) : '');
    case 'citation':
      return first ? citation(first) : '';
    case 'quote':
      return first?.text ?? '';
    case 'remarks':
      return (review ? review.problems : answer.missing.map(({ word }) => word)).join('\n');
    case 'reason':
      return statement ? termsIn(statement.text, context) : reasonOf(context);
    case 'answer':
      return statement?.text ?? answer.text;
    case undefined:
      return statement ? statement.text : bestFor(name, description, context);
  }
}

function reasonOf({ review, because, answer, situation }: FillContext): string {
  if (review)
    return review.problems.length > 0 ? review.problems.join('\n') : `Covers ${list(situation.terms)}.`;
  if (because.length > 0) return `The message mentions ${list(because)}.`;
  return answer.text;
}

function termsIn(text: string, { situation }: FillContext): string {
  const own = new Set(keyTerms(text).map(({ stem }) => stem));
  return list(situation.terms.filter(({ stem }) => own.has(stem)));
}

function list(terms: { word: string }[]): string {
  return [...new Set(terms.map(({ word }) => word))].join(', ');
}

/** For a property of no known role: what was found that has most to do with its name and description. */
function bestFor(name: string, description: unknown, { situation, answer }: FillContext): string {
  const about = `${nameWords(name).join(' ')} ${typeof description === 'string' ? description : ''}`;
  const terms = keyTerms(about);
  const fitting = rankStatements(
    answer.ranked.length > 0 ? answer.ranked.map(({ statement }) => statement) : situation.statements,
    terms,
    about,
  );
  return fitting[0]?.statement.text ?? answer.text;
}

function titleOf(question: string): string {
  const [line = ''] = question.trim().split('\n');
  const plain = line.replace(/[?.!\s]+$/, '');
  if (plain.length <= LONGEST_TITLE) return plain;
  return `${plain.slice(0, Math.max(1, plain.lastIndexOf(' ', LONGEST_TITLE - 2)))} …`;
}

/** Fits a text to the lengths a schema allows; what is too short is filled up with the question. */
export function sized(text: string, schema: JsonSchema, { situation }: FillContext): string {
  const least = Number(schema['minLength'] ?? 0);
  const most = Number(schema['maxLength'] ?? Infinity);
  let fitted = text;
  while (fitted.length < least) fitted = `${fitted} ${situation.question || '-'}`.trimStart();
  if (fitted.length <= most) return fitted;
  const cut = fitted.lastIndexOf(' ', most - 1);
  return fitted.slice(0, cut >= least && cut > 0 ? cut : most);
}
