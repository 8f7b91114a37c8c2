import type { ChatTool, JsonSchema } from '../../testing/chat-protocol.ts';
import { resolveSchema, schemaTypes } from './schema.ts';
import { holds, nameWords, stems, words } from './terms.ts';

/** What a tool is for, as its name and parameters tell. */
export type ToolUse =
  | { kind: 'search'; tool: ChatTool; parameter: string }
  | { kind: 'read'; tool: ChatTool; path: string; from?: string; to?: string; count?: string }
  | { kind: 'lookup'; tool: ChatTool; parameters: Parameter[] }
  | { kind: 'handoff'; tool: ChatTool }
  | { kind: 'action'; tool: ChatTool; words: string[] }
  | { kind: 'ask'; tool: ChatTool; parameter: string }
  | { kind: 'list'; tool: ChatTool }
  | { kind: 'other'; tool: ChatTool };

export interface Parameter {
  name: string;
  schema: JsonSchema;
  required: boolean;
}

const HANDOFF = /^(transfer_?to|hand_?off|hand_?over)/i;
const SEARCH = /^(query|q|search|keywords?|terms?|pattern|phrase|needle)$/;
const PATH = /^(path|file|filename|filepath|uri|url|document|doc|page|source)$/;
const FROM = /^(from|start|begin|first|line|offset)$/;
const TO = /^(to|end|last|until)$/;
const COUNT = /^(limit|count|lines|length|size|max)$/;
const IDENTIFIER =
  /^(id|ids|identifier|email|mail|number|no|nr|code|sku|phone|key|ref|reference|tracking|username|login|slug|isbn|iban)$/;
const ASK = /^(question|task|message|request|input|prompt|instruction|topic|text)$/;
const ACTIONS = new Set(
  `refund cancel create update delete remove send issue change set add book place pay charge close reopen escalate
  approve reject notify write post submit publish schedule assign open return replace reset grant revoke order
  deploy restart start stop pause resume launch trigger move rename copy edit modify transfer withdraw deposit credit
  debit invoice reserve buy sell subscribe unsubscribe enable disable block unblock ban lock unlock invite register
  enrol enroll upgrade downgrade confirm archive restore merge ship make request raise give`.split(/\s+/),
);
/** They say nothing without what stands behind them: `issueRefund` is about a refund. */
const LIGHT = new Set('issue make create give send start open request raise place'.split(' '));
/** As the first word of a description or of a reading tool they are no action: "Returns the weather", `open_lines`. */
const UNSURE = new Set('return open order issue set request start'.split(' '));
const READING =
  /^(ask|check|count|describe|fetch|find|get|has|is|list|load|look|lookup|query|read|search|show|view)$/;
/** Behind a word that can be a verb they make it a noun: `order_status`. */
const READ = /^(status|state|search|list|info|details|lookup|history|count|score|total|of|by)$/;

export function classifyTool(tool: ChatTool): ToolUse {
  const { name } = tool.function;
  const parameters = toolParameters(tool);
  if (HANDOFF.test(name)) return { kind: 'handoff', tool };
  const named = (pattern: RegExp, types = ['string', 'integer', 'number']) =>
    parameters.find(
      ({ name: parameter, schema }) =>
        nameWords(parameter).some((part) => pattern.test(part)) &&
        schemaTypes(schema).some((type) => types.includes(type)),
    );
  const asking = actionWords(tool);
  const path = named(PATH, ['string']);
  const search = named(SEARCH, ['string']);
  if (path && !search && (asking.length === 0 || UNSURE.has(asking[0] ?? ''))) {
    const [from, to, count] = [named(FROM, NUMBERS), named(TO, NUMBERS), named(COUNT, NUMBERS)];
    return {
      kind: 'read',
      tool,
      path: path.name,
      ...(from && { from: from.name }),
      ...(to && { to: to.name }),
      ...(count && { count: count.name }),
    };
  }
  if (asking.length > 0) return { kind: 'action', tool, words: asking };
  if (search) return { kind: 'search', tool, parameter: search.name };
  const identifiers = parameters.filter(
    ({ name: parameter, schema }) =>
      schema.format === 'email' || nameWords(parameter).some((part) => IDENTIFIER.test(part)),
  );
  if (identifiers.length > 0) return { kind: 'lookup', tool, parameters: identifiers };
  const ask = named(ASK, ['string']);
  if (ask) return { kind: 'ask', tool, parameter: ask.name };
  return parameters.some(({ required }) => required) ? { kind: 'other', tool } : { kind: 'list', tool };
}

const NUMBERS = ['integer', 'number'];

/** The words by which an action is asked for: its verb, and the noun of one whose verb says little; none where the tool changes nothing. */
function actionWords({ function: { name, description = '' } }: ChatTool): string[] {
  const [verb = '', noun = ''] = nameWords(name);
  if (READING.test(verb) || READ.test(noun)) return [];
  const [told] = words(description);
  const described = [...ACTIONS].find((action) => !UNSURE.has(action) && told && holds(stems(action), told));
  if (!ACTIONS.has(verb)) return described === undefined ? [] : [...nameWords(name), described];
  return [...new Set([verb, ...(LIGHT.has(verb) && noun !== '' ? [noun] : []), described ?? verb])];
}

/** A tool's parameters. One that may be null counts as not required. */
export function toolParameters(tool: ChatTool): Parameter[] {
  const root = tool.function.parameters ?? {};
  const required = new Set(root.required ?? []);
  return Object.entries(root.properties ?? {}).map(([name, below]) => {
    const schema = resolveSchema(below, root);
    return { name, schema, required: required.has(name) && !schemaTypes(schema).includes('null') };
  });
}

/** A tool's name and description as one text. */
export function toolText({ function: { name, description } }: ChatTool): string {
  return `${nameWords(name).join(' ')} ${description ?? ''}`;
}

export function ofKind<Kind extends ToolUse['kind']>(
  uses: ToolUse[],
  kind: Kind,
): Extract<ToolUse, { kind: Kind }>[] {
  return uses.filter((use): use is Extract<ToolUse, { kind: Kind }> => use.kind === kind);
}
