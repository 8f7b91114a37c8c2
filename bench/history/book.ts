/**
 * The work that both loops do: an agent reads a book page by page and says how much it has read. Every byte is a function of the
 * task, so that two runs, and two loops, have the same content.
 */

/** What a run is asked to do: so many calls of `read_page`, one a turn, each of which returns a page of so many bytes. */
export interface ReadingTask {
  readonly pages: number;
  readonly bytes: number;
}

/** Model replies of a run: one for each page, and the answer. */
export function turnsOf({ pages }: ReadingTask): number {
  return pages + 1;
}

/** The arguments of the tool. */
export interface PageRequest {
  readonly page: number;
  readonly bytes: number;
}

/** What both agents tell the model about themselves. */
export const instructions =
  'You read books. Call read_page for every page you are asked for, one page a turn and in order, then say how much you read.';

/** What both agents tell the model about the tool. */
export const pageTool = {
  name: 'read_page',
  description: 'Reads one page of a book whose pages have this many bytes.',
};

/** The tool's arguments as JSON Schema, for loops that take it so. */
export const pageSchema = {
  type: 'object' as const,
  properties: { page: { type: 'integer' as const }, bytes: { type: 'integer' as const } },
  required: ['page', 'bytes'] as ('page' | 'bytes')[],
  additionalProperties: false as const,
};

const words =
  'the of a river stone window light under every morning table letter small road she he they walked opened found kept'.split(
    ' ',
  );

/** The text of a page: words without anything that JSON escapes, exactly so many bytes. */
export function readPage({ page, bytes }: PageRequest): string {
  let text = '';
  for (let state = page; text.length < bytes;) {
    // The constants of a common linear congruential generator; any would do.
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    text += `${words[Math.floor(state / 65_536) % words.length]} `;
  }
  return text.slice(0, bytes);
}

/** The task as the loops put it to the model; `before` is what the user had said already, in so many bytes. */
export function taskText({ pages, bytes }: ReadingTask, before = 0): string {
  const task = `Read ${pages} pages of ${bytes} bytes.`;
  return before === 0 ? task : `${task}\n\n${readPage({ page: 0, bytes: before })}`;
}

/** The task in a text of {@link taskText}. */
export function parseTask(text: string): ReadingTask {
  const [, pages, bytes] = /^Read (\d+) pages of (\d+) bytes\.(?:\n|$)/.exec(text) ?? [];
  if (pages === undefined || bytes === undefined) throw new Error(`"${text}" is not a reading task`);
  return { pages: Number(pages), bytes: Number(bytes) };
}

/** The model's last words, which only a model that was given every page can say. */
export function finalAnswer(pages: readonly string[]): string {
  const bytes = pages.reduce((sum, page) => sum + Buffer.byteLength(page), 0);
  return `I read ${pages.length} pages with ${bytes} bytes.`;
}

/** The answer that a run of the task must give. */
export function expectedAnswer(task: ReadingTask): string {
  return finalAnswer(requestsOf(task).map(readPage));
}

/** Bytes of what tools returned and the model said: what a history of the run has to hold, however it holds it. */
export function contentBytes(task: ReadingTask): number {
  const texts = requestsOf(task).flatMap((request) => [JSON.stringify(request), readPage(request)]);
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), Buffer.byteLength(expectedAnswer(task)));
}

function requestsOf({ pages, bytes }: ReadingTask): PageRequest[] {
  return Array.from({ length: pages }, (_, index) => ({ page: index + 1, bytes }));
}
