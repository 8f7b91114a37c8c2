import { isDataUrl, type Attachment } from '../protocol/attachments.ts';
import { failure } from '../protocol/failures.ts';
import type { Json } from '../protocol/protocol.ts';

/**
 * What a user says with attachments, as a message's content in Chat Completions. Throws `ModelBadRequest`, as another model may be asked by the
 * other API, for what this one has no words for: an image by file id, a file by URL.
 */
export function chatContent(text: string, attachments: readonly Attachment[]): Json[] {
  const parts: Json[] = text === '' ? [] : [{ type: 'text', text }];
  return [...parts, ...attachments.map(chatPart)];
}

/** The same in the words of the Responses API, for a message or the output of a call. */
export function responsesContent(text: string, attachments: readonly Attachment[]): Json[] {
  const parts: Json[] = text === '' ? [] : [{ type: 'input_text', text }];
  return [...parts, ...attachments.map(responsesPart)];
}

function chatPart(attachment: Attachment): Json {
  const { type, url, fileId } = attachment;
  if (type === 'image') {
    if (url === undefined) throw wordless('an image by file id', 'its URL');
    const { detail } = attachment;
    return { type: 'image_url', image_url: { url, ...(detail && { detail }) } };
  }
  if (fileId !== undefined) return { type: 'file', file: { file_id: fileId } };
  if (!isDataUrl(url)) throw wordless('a file by URL', 'a file id or a data URL');
  const { filename = 'file' } = attachment;
  return { type: 'file', file: { filename, file_data: url } };
}

function responsesPart(attachment: Attachment): Json {
  const { type, url, fileId } = attachment;
  if (type === 'image') {
    const { detail = 'auto' } = attachment;
    return url === undefined
      ? { type: 'input_image', detail, file_id: fileId }
      : { type: 'input_image', detail, image_url: url };
  }
  if (fileId !== undefined) return { type: 'input_file', file_id: fileId };
  const { filename = 'file' } = attachment;
  return isDataUrl(url)
    ? { type: 'input_file', filename, file_data: url }
    : { type: 'input_file', file_url: url };
}

function wordless(what: string, instead: string): Error {
  return failure(
    'ModelBadRequest',
    `Chat Completions takes no attachment that is ${what}: give ${instead}, or ask the model by the Responses API`,
  );
}
