import { writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { reportMark } from './documents/document-folder.ts';
import type { Citation } from './citations.ts';
import type { Report } from './workflows.ts';

/** What a report says besides the answer. */
export interface ReportFacts {
  question: string;
  /** Absolute path of the folder of documents. */
  folder: string;
  documents: number;
  model: string;
  isOffline: boolean;
  workflowId: string;
  link?: string | undefined;
}

/** Writes the report as Markdown, the citations as links that work from where the file is. */
export async function writeReport(file: string, report: Report, facts: ReportFacts): Promise<void> {
  await writeFile(
    file,
    renderReport(report, facts, (path) => relative(dirname(file), join(facts.folder, path))),
  );
}

/** The report as Markdown. `linkTo` says where a document is, seen from the report. */
export function renderReport(report: Report, facts: ReportFacts, linkTo: (path: string) => string): string {
  const { title, answer, citations, missing } = report;
  const open = report.accepted
    ? []
    : [
        '',
        '> The reviewer did not accept this answer:',
        ...report.problems.map((problem) => `> - ${oneLine(problem)}`),
      ];
  const gaps =
    missing.length > 0
      ? ['', '## Not in the documents', '', ...missing.map((gap) => `- ${oneLine(gap)}`)]
      : [];
  const sources = citations.flatMap((citation) => ['', ...renderSource(citation, linkTo)]);
  return [
    reportMark,
    '',
    `# ${oneLine(title) || oneLine(facts.question)}`,
    ...open,
    '',
    answer.trim(),
    '',
    '## Sources',
    ...(sources.length > 0 ? sources : ['', 'None.']),
    ...gaps,
    '',
    '## How it came about',
    '',
    ...describeRun(report, facts).map(([name, value]) => `- ${name}: ${value}`),
    '',
  ].join('\n');
}

function renderSource({ path, line, lastLine, text }: Citation, linkTo: (path: string) => string): string[] {
  const target = linkTo(path).split(sep).map(encodeURIComponent).join('/');
  const lines = lastLine > line ? `${line}-${lastLine}` : `${line}`;
  return [
    `[${path}:${lines}](${target}#L${line})`,
    '',
    ...text.split('\n').map((quoted) => `> ${quoted}`.trimEnd()),
  ];
}

function describeRun(report: Report, facts: ReportFacts): [string, string][] {
  const { rounds, turns, accepted } = report;
  const verdict = accepted ? 'accepted by the reviewer' : 'not accepted';
  return [
    ['Question', oneLine(facts.question)],
    ['Documents', `${facts.documents} in \`${facts.folder}\``],
    [
      'Model',
      facts.isOffline
        ? `${facts.model}, which is not a language model: plain rules that search and quote`
        : facts.model,
    ],
    ['Rounds', `${rounds}, ${verdict}; ${turns} turns`],
    ['Tokens', describeUsage(report)],
    ['Cost', describeCost(report)],
    ['Run', facts.link ? `[${facts.workflowId}](${facts.link})` : facts.workflowId],
  ];
}

/** The tokens that a report took. */
export function describeUsage({ usage }: Pick<Report, 'usage'>): string {
  const cached = usage.cached ? ` (${count(usage.cached)} cached)` : '';
  return `${count(usage.input)} in${cached}, ${count(usage.output)} out`;
}

/** What a report cost. */
export function describeCost({ cost }: Pick<Report, 'cost'>): string {
  return cost === null ? "unknown (the model's price is not known)" : `$${cost.toFixed(4)}`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
