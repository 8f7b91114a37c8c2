import type { ChatMessage } from './chat-protocol.ts';

interface Part {
  type?: string;
  text?: unknown;
  detail?: unknown;
  image_url?: unknown;
  file?: { file_id?: unknown; file_data?: unknown; filename?: unknown };
  [field: string]: unknown;
}

/** What the real service would refuse in the parts of messages of Chat Completions; `undefined` when there is nothing. */
export function findChatPartProblem(messages: readonly ChatMessage[]): string | undefined {
  for (const [position, { role, content }] of messages.entries()) {
    if (!Array.isArray(content)) continue;
    for (const [index, part] of (content as Part[]).entries()) {
      const where = `messages[${position}].content[${index}]`;
      const problem = chatPartProblem(part, role === 'user');
      if (problem !== undefined) return `${where}${problem}`;
    }
  }
  return undefined;
}

/** The same for the content of a message, or of a call's output, of the Responses API. */
export function findResponsesPartProblem(where: string, content: unknown): string | undefined {
  if (!Array.isArray(content)) return undefined;
  for (const [index, part] of (content as Part[]).entries()) {
    const problem = responsesPartProblem(part);
    if (problem !== undefined) return `${where}[${index}]${problem}`;
  }
  return undefined;
}

function chatPartProblem({ type, text, image_url: image, file }: Part, mayShow: boolean): string | undefined {
  if (type === 'text') return typeof text === 'string' ? undefined : '.text must be a string.';
  // Only a user shows images and files.
  if (!mayShow || (type !== 'image_url' && type !== 'file'))
    return `.type '${type}' is not one of its role's.`;
  if (type === 'image_url') return imageProblem((image as { url?: unknown } | undefined)?.url);
  const { file_id: id, file_data: data, filename } = file ?? {};
  if (typeof id === 'string') return undefined;
  return isData(data) && typeof filename === 'string'
    ? undefined
    : ".file needs a 'file_id', or 'file_data' as a data URL with a 'filename'.";
}

function responsesPartProblem(part: Part): string | undefined {
  const { type, text, image_url: image, file_id: id, file_data: data, file_url: url, filename } = part;
  switch (type) {
    case 'input_text':
    case 'output_text':
      return typeof text === 'string' ? undefined : '.text must be a string.';
    case 'input_image':
      return typeof id === 'string' ? undefined : imageProblem(image);
    case 'input_file': {
      const given = typeof id === 'string' || isUrl(url) || (isData(data) && typeof filename === 'string');
      return given ? undefined : " needs a 'file_id', a 'file_url', or 'file_data' with a 'filename'.";
    }
    default:
      return `.type '${type}' is not one that the API knows.`;
  }
}

function imageProblem(url: unknown): string | undefined {
  return isUrl(url) || (isData(url) && url.startsWith('data:image/'))
    ? undefined
    : '.image_url must be a URL or a data URL of an image.';
}

function isUrl(value: unknown): value is string {
  return typeof value === 'string' && /^https?:/.test(value);
}

function isData(value: unknown): value is string {
  return typeof value === 'string' && /^data:[\w.+-]+\/[\w.+-]+;base64,/.test(value);
}
