import { defineAgent } from 'cadenza';
import { z } from 'zod';
import { configuredLibrary, createLibraryTools } from './tools.ts';

const { search, read } = createLibraryTools(configuredLibrary);

/** A quotation from the documents and its place. */
const Finding = z.object({
  path: z.string().describe('The document, as the tools name it'),
  line: z.int().min(1).describe('The first line of the quotation'),
  lastLine: z.int().min(1).describe('The last line of the quotation'),
  text: z.string().min(1).describe('The quotation, word for word'),
});

const Draft = z.object({
  title: z.string(),
  answer: z
    .string()
    .min(1)
    .describe('Markdown; every statement ends with the place it is taken from, as [path:line]'),
});

/** Finds what the documents say about a question: chooses its searches, what to read, and when it has enough. */
export const retriever = defineAgent({
  name: 'retriever',
  description: 'Finds the passages that answer a question.',
  instructions: `You find out what a folder of documents says about a question. Others write the answer from what you find.

Search with few, telling words, and search again in other words, or for the parts of the question, when the results do not
answer it. Search results are only parts: read the lines around the good ones before you rely on them. If you are given
searches to make, make those too. Stop as soon as more would not change the answer.

Return as findings the sentences that together answer the question, quoted word for word with the lines they stand in. A
statement that is not in the documents must not be among them. Return as missing what the question asks and the documents do
not say.`,
  tools: [search, read],
  input: z.object({
    question: z.string().min(1),
    searches: z.array(z.string()).describe('To be made as well'),
  }),
  output: z.object({
    findings: z.array(Finding),
    missing: z.array(z.string()).describe('What the question asks and the documents do not say'),
  }),
  limits: { turns: 20, toolCallsPerTurn: 12 },
});

/** Writes an answer from the findings alone. */
export const writer = defineAgent({
  name: 'writer',
  description: 'Drafts an answer from findings.',
  instructions: `You answer a question from findings: quotations from documents. Use nothing else that you may know.

Begin with the answer itself, in one or two sentences; then what somebody needs to act on it. Plain words, Markdown, no
heading at the top. After each statement cite the finding it rests on, as [path:line] with the path and line of that finding,
for example [docs/setup.md:12]. Where the findings do not answer a part of the question, say so.

If you are given an earlier draft with its problems, return a whole new version in which they are mended, and keep what was good.`,
  input: z.object({
    question: z.string().min(1),
    findings: z.array(Finding),
    draft: Draft.optional(),
    problems: z.array(z.string()).optional(),
  }),
  output: Draft,
  limits: { turns: 6 },
});

/** Decides whether a draft is good enough. */
export const reviewer = defineAgent({
  name: 'reviewer',
  description: 'Accepts a draft or says what is wrong with it.',
  instructions: `You review a draft that answers a question from findings: quotations from documents.

Accept it if it answers the question as far as the findings go, every statement follows from the finding it cites, and it says
what the findings leave open. Do not ask for more than that: style is no reason to reject. If you do not accept it, list the
problems, each so concrete that the writer can mend it. Where the findings lack something that the documents may well hold,
list as searches what to look for.`,
  input: z.object({ question: z.string().min(1), findings: z.array(Finding), draft: Draft }),
  output: z.object({
    accepted: z.boolean(),
    problems: z.array(z.string()).describe('Empty if it is accepted'),
    searches: z.array(z.string()).describe('What to look for in the documents; mostly empty'),
  }),
  limits: { turns: 6 },
});
