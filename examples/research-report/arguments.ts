import { parseArgs } from 'node:util';
import { UsageError } from '../launcher/run-program.ts';

/** What `npm start` was asked to do. */
export type Task =
  | { kind: 'help' }
  /** Nothing but Temporal with its Web UI, to look at earlier runs. */
  | { kind: 'ui' }
  | { kind: 'report'; question: string; docs: string | undefined; out: string; keep: boolean };

const longestQuestion = 4_000;

/** What is asked where no question is given: this is about the repository's own documents. */
export const defaultQuestion = 'How does a run survive a crash of its worker?';

/** Printed by `--help`. */
export const help = `Answers a question from a folder of Markdown or text files, and writes report.md.

  npm start -- ["question"] [--docs folder] [--out file] [--keep]

  "question"     Default: "${defaultQuestion}"
  --docs folder  The documents. Default: those of this repository.
  --out file     Where the report goes. Default: report.md
  --keep         Keep Temporal and its Web UI up afterwards, until Ctrl-C.
  --ui           Report nothing; keep Temporal and its Web UI up to look at earlier runs, until Ctrl-C.
  --help         Show this.

A run that was cut short goes on when it is started again with the same question and folder.

Environment
  OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL
                 The model. Without a key, a stand-in that is not a language model: plain rules.
  TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, …
                 The Temporal server. Without one, a development server is found or started.
  CADENZA_DATA_DIR
                 Where a development server keeps its runs. Default: .cadenza
`;

/** Throws `UsageError`. `env` is the environment that npm makes for its scripts. */
export function parseTask(args: string[], env: NodeJS.ProcessEnv = {}): Task {
  const swallowed = optionNames.find((name) => env[`npm_config_${name}`] !== undefined);
  if (swallowed !== undefined) {
    throw new UsageError(
      `npm took --${swallowed} for an option of its own; put -- before it: npm start -- "question" --${swallowed} …`,
    );
  }
  const { values, positionals } = parse(args);
  if (values.help) return { kind: 'help' };
  if (values.ui) {
    const others = Object.keys(values).filter((name) => name !== 'ui');
    if (positionals.length > 0 || others.length > 0) throw new UsageError('--ui takes nothing else');
    return { kind: 'ui' };
  }
  if (positionals.length > 1) {
    throw new UsageError(
      `there is more than one question: put it in quotes, as in "${positionals.join(' ')}"`,
    );
  }
  const question = (positionals[0] ?? defaultQuestion).trim();
  if (question === '') throw new UsageError('the question is empty');
  if (question.length > longestQuestion)
    throw new UsageError(`the question is longer than ${longestQuestion} characters`);
  for (const name of ['docs', 'out'] as const)
    if (values[name] === '') throw new UsageError(`--${name} is empty`);
  return {
    kind: 'report',
    question,
    docs: values.docs,
    out: values.out ?? 'report.md',
    keep: values.keep ?? false,
  };
}

const optionNames = ['docs', 'out', 'keep', 'ui'] as const;

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        docs: { type: 'string' },
        out: { type: 'string' },
        keep: { type: 'boolean' },
        ui: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (thrown) {
    // Its second sentence is about something else than what is meant here.
    throw new UsageError(
      thrown instanceof Error ? thrown.message.replace(/\. To specify .*/s, '') : String(thrown),
    );
  }
}
