import { nameWords } from './terms.ts';

/** What a text property of a schema is for. */
export type TextRole =
  'question' | 'query' | 'title' | 'answer' | 'remarks' | 'reason' | 'path' | 'citation' | 'quote';
/** What a list of texts is for. */
export type ListRole = 'gaps' | 'citations' | 'terms' | 'queries' | 'quotes' | 'paths';
/** What a number is for. */
export type NumberRole = 'ratio' | 'count' | 'line' | 'lastLine' | 'limit';
/** What a boolean asks: whether the work is good or enough was found, or the opposite. */
export type BooleanRole = 'enough' | 'lacking';

type Rules<Role> = [Role, RegExp][];

const TEXT: Rules<TextRole> = [
  ['remarks', /^(feedback|problems?|issues?|comments?|critique|review|remarks?|gaps?|missing|corrections?)$/],
  ['reason', /^(reason|reasons|reasoning|rationale|why|justification|explanation|verdict)$/],
  ['question', /^(question|request|task|message|ask|input|prompt|instruction)$/],
  ['query', /^(query|q|search|keywords?|terms?|pattern)$/],
  ['title', /^(title|heading|headline|subject|topic)$/],
  ['citation', /^(citation|reference)$/],
  ['path', /^(path|file|filename|filepath|uri|url|source|document|doc|page)$/],
  ['quote', /^(quote|excerpt|snippet|sentence|evidence|passage|quotation)$/],
  ['answer', /^(answer|summary|draft|text|body|content|report|reply|response|markdown|description|conclusion|result|output|notes?|finding|details)$/], // prettier-ignore
];

const LISTS: Rules<ListRole> = [
  ['gaps', /^(problems?|issues?|missing|gaps?|questions|feedback|suggestions?|improvements?|corrections?|unknowns?|unanswered|ups?|comments?|remarks?|todos?)$/], // prettier-ignore
  ['paths', /^(files|paths|documents|docs|pages)$/],
  ['citations', /^(citations?|sources?|references?|cites|links|urls)$/],
  ['queries', /^(queries|searches|searched)$/],
  ['terms', /^(tags?|keywords?|terms?|topics?|labels?|concepts?|categories)$/],
  ['quotes', /^(quotes?|evidence|facts?|points?|highlights?|findings?|excerpts?|notes?|sentences?|answers?|details|reasons?|steps?|lines|claims?|results?)$/], // prettier-ignore
];

const NUMBERS: Rules<NumberRole> = [
  [
    'ratio',
    /^(score|confidence|coverage|relevance|quality|grade|rating|certainty|probability|similarity|completeness)$/,
  ],
  ['limit', /^(limit|k|top|max|size|page)$/],
  ['count', /^(count|total|number|n|amount)$/],
  ['lastLine', /^(to|end|last|until)$/],
  ['line', /^(line|from|start|first|begin|row|offset)$/],
];

const BOOLEANS: Rules<BooleanRole> = [
  ['lacking', /^(rejected|revise|revision|rework|wrong|incorrect|problems?|issues?|invalid|missing|incomplete|insufficient|unanswered|unresolved|needs?|more|continue|escalate|unknown|unsure|gaps?)$/], // prettier-ignore
  ['enough', /^(accepted?|approved?|ok|pass|passed|passes|valid|correct|good|publishable|grounded|ready|satisfied|meets|sufficient|enough|resolved|done|found|answered|complete|completed|finished|relevant|supported|answerable|success|covered|known)$/], // prettier-ignore
];

/** The role of a property by the words of its name, the last first, as `draftSummary` is a summary; then by its description. */
function roleOf<Role>(
  rules: Rules<Role>,
  name: string,
  description: unknown,
  isLastFirst: boolean,
): Role | undefined {
  const parts = nameWords(name);
  for (const part of isLastFirst ? parts.toReversed() : parts)
    for (const [role, pattern] of rules) if (pattern.test(part)) return role;
  const told = typeof description === 'string' ? nameWords(description) : [];
  for (const [role, pattern] of rules) if (told.some((part) => pattern.test(part))) return role;
  return undefined;
}

export function textRole(name: string, description?: unknown): TextRole | undefined {
  return roleOf(TEXT, name, description, true);
}

export function listRole(name: string, description?: unknown): ListRole | undefined {
  return roleOf(LISTS, name, description, true);
}

export function numberRole(name: string, description?: unknown): NumberRole | undefined {
  return roleOf(NUMBERS, name, description, true);
}

/** `needsRevision` is decided by its first telling word. */
export function booleanRole(name: string, description?: unknown): BooleanRole | undefined {
  return roleOf(BOOLEANS, name, description, false);
}
