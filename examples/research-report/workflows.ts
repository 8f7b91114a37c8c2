import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { RunResult, Usage } from 'cadenza';
import { proxyAgents } from 'cadenza/workflow';
import type * as activities from './activities.ts';
import type { Finding } from './activities.ts';
import type * as agents from './agents.ts';
import { citedIn, type Citation } from './citations.ts';

/** What to report on. */
export interface ReportRequest {
  question: string;
  /** What the folder of documents is called, for people. Which folder it is, is the worker's setting. */
  folder?: string;
}

/** An answer, and how it came about. */
export interface Report {
  title: string;
  /** Markdown that cites places as `[path:line]`. */
  answer: string;
  /** What the answer cites, with the documents' own words. */
  citations: Citation[];
  /** Whether the reviewer accepted it; otherwise it is the last of the drafts. */
  accepted: boolean;
  /** What the reviewer found wrong with it, if it was not accepted. */
  problems: string[];
  /** What the question asks and the documents do not say. */
  missing: string[];
  rounds: number;
  turns: number;
  usage: Usage;
  /** US dollars, or `null` where a model's price is not known. */
  cost: number | null;
}

const mostRounds = 3;

const { retriever, writer, reviewer } = proxyAgents<typeof agents>();
const { verifyFindings } = proxyActivities<typeof activities>({
  startToCloseTimeout: '1 minute',
  summary: 'look the findings up in the documents',
});

/** Retrieves, drafts and reviews until the reviewer accepts the answer, at most three rounds. */
export async function researchReport({ question, folder }: ReportRequest): Promise<Report> {
  const spent: Spent = { turns: 0, usage: { input: 0, output: 0 }, cost: 0 };
  let findings: Finding[] = [];
  let missing: string[] = [];

  const show = (stage: string): void => {
    setCurrentDetails(
      table({
        Question: question,
        Documents: folder,
        Stage: stage,
        Findings: findings.length,
        ...describeSpent(spent),
      }),
    );
  };

  const retrieve = async (searches: string[]): Promise<void> => {
    const found = spend(spent, await retriever.run({ question, searches }));
    const verified = await verifyFindings(found.findings);
    findings = mergeFindings(findings, verified.findings);
    missing = found.missing;
  };

  show('retrieving');
  await retrieve([]);
  let earlier: { draft: { title: string; answer: string }; problems: string[] } | undefined;
  for (let round = 1; ; round += 1) {
    show(`drafting, round ${round}`);
    const draft = spend(spent, await writer.run({ question, findings, ...earlier }));
    show(`reviewing, round ${round}`);
    const review = spend(spent, await reviewer.run({ question, findings, draft }));
    const { citations, unknown } = citedIn(draft.answer, findings);
    // The model decides whether the answer is good; that its citations hold is not left to it.
    const wrong = unknown.map((place) => `The draft cites ${place}, which is not a finding.`);
    const accepted = review.accepted && wrong.length === 0;
    if (accepted || round === mostRounds) {
      show(accepted ? `accepted in round ${round}` : `not accepted after ${round} rounds`);
      const problems = accepted ? [] : [...new Set([...wrong, ...review.problems])];
      return { ...draft, citations, accepted, problems, missing, rounds: round, ...spent };
    }
    earlier = { draft, problems: [...new Set([...wrong, ...review.problems])] };
    if (review.searches.length > 0) {
      show(`retrieving more after round ${round}`);
      await retrieve(review.searches);
    }
  }
}

type Spent = Pick<Report, 'turns' | 'usage' | 'cost'>;

/** Adds what an agent's run has used, and returns its output. */
function spend<Output>(spent: Spent, { output, usage, cost, turns }: RunResult<Output>): Output {
  spent.turns += turns;
  for (const key of ['input', 'output', 'cached', 'reasoning'] as const) {
    const used = usage[key];
    if (used !== undefined) spent.usage[key] = (spent.usage[key] ?? 0) + used;
  }
  spent.cost = spent.cost === null || cost === null ? null : spent.cost + cost;
  return output;
}

function describeSpent({ usage, cost, turns }: Spent): Record<string, string | number> {
  const dollars = cost === null ? 'unknown' : `$${cost.toFixed(4)}`;
  return { Turns: turns, Tokens: `${usage.input} in, ${usage.output} out`, Cost: dollars };
}

/** Markdown for the Web UI. */
function table(rows: Record<string, string | number | undefined>): string {
  const cell = (value: string | number): string => String(value).replace(/\s+/g, ' ').replaceAll('|', '\\|');
  const known = Object.entries(rows).flatMap(([name, value]) =>
    value === undefined ? [] : [`| **${name}** | ${cell(value)} |`],
  );
  return ['| | |', '|---|---|', ...known].join('\n');
}

function mergeFindings(known: Finding[], more: Finding[]): Finding[] {
  return [
    ...new Map([...known, ...more].map((finding) => [`${finding.path}:${finding.line}`, finding])).values(),
  ];
}
