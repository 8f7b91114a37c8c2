/**
 * Images and files that go with what is said, by reference: a history holds where they are, never what is in them.
 */

/** How closely a model looks at an image. Default: the provider's own, `auto`. */
export type ImageDetail = 'auto' | 'low' | 'high';

/**
 * An image or a file, by reference: a URL that the provider reads (`https://…`), a file that was uploaded to the provider before (`fileId`), or
 * a small data URL (`data:image/png;base64,…`), which is the content itself. A file by data URL needs a `filename`.
 */
export type Attachment =
  ({ type: 'image'; detail?: ImageDetail } & Reference) | ({ type: 'file'; filename?: string } & Reference);

/** Where an attachment is. */
export type Reference = { url: string; fileId?: never } | { fileId: string; url?: never };

/** Attachments of one message, input or tool result. */
const mostAttachments = 16;
/** Characters of a URL: signed ones have some thousands. */
const longestUrl = 8 * 1024;
/** Characters of a data URL: it stands in the history, in every request and in each run that continues this one. */
const longestDataUrl = 128 * 1024;
/** Characters of all references of a message, so that messages that wait stay small enough for one payload. */
const longestTogether = 256 * 1024;
/** Characters of a file's id or name. */
const longestName = 256;
const details: readonly unknown[] = ['auto', 'low', 'high'];

/** What keeps a value from being a list of attachments, in words that name the one; `undefined` where nothing does. */
export function attachmentsProblem(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) return 'its attachments must be a list';
  if (value.length > mostAttachments)
    return `it has ${value.length} attachments; at most ${mostAttachments} go along`;
  let length = 0;
  for (const [index, each] of value.entries()) {
    const problem = attachmentProblem(each);
    if (problem !== undefined) return `attachment ${index + 1}: ${problem}`;
    length += referenceLength(each as Attachment);
  }
  if (length > longestTogether)
    return `its attachments have ${length} characters together, at most ${longestTogether} go along; give large ones by https URL or by a file id of the provider`;
  return undefined;
}

/** What keeps a value from being an attachment. */
export function attachmentProblem(value: unknown): string | undefined {
  const { type, url, fileId, detail, filename } = (value ?? {}) as Record<string, unknown>;
  if (type !== 'image' && type !== 'file') return 'its type must be "image" or "file"';
  if ((url === undefined) === (fileId === undefined)) return 'it needs either a url or a fileId';
  if (detail !== undefined && (type === 'file' || !details.includes(detail)))
    return 'its detail must be "auto", "low" or "high", and is for images alone';
  if (filename !== undefined && (type === 'image' || !isName(filename)))
    return `its filename must be a text of 1 to ${longestName} characters, and is for files alone`;
  if (url !== undefined) return urlProblem(type, url, filename !== undefined);
  return isName(fileId) ? undefined : `its fileId must be a text of 1 to ${longestName} characters`;
}

/** Whether the reference is the content itself. */
export function isDataUrl(url: string): boolean {
  return /^data:/i.test(url);
}

/** Characters of what an attachment says of where it is. */
export function referenceLength({ url = '', fileId = '' }: Attachment): number {
  return url.length + fileId.length;
}

/** An attachment in a few words for people: content that stands in a data URL is left out. */
export function describeAttachment(attachment: Attachment): string {
  const { type, url, fileId } = attachment;
  const name = attachment.type === 'file' && attachment.filename ? ` ${attachment.filename}` : '';
  if (url === undefined) return `[${type}${name} ${fileId}]`;
  if (!isDataUrl(url)) return `[${type}${name} ${url}]`;
  return `[${type}${name} ${url.slice(5, url.indexOf(','))}, ${url.length} characters]`;
}

function urlProblem(type: 'image' | 'file', url: unknown, named: boolean): string | undefined {
  if (typeof url !== 'string') return 'its url must be a text';
  if (!isDataUrl(url)) {
    if (!/^https?:\/\/[^\s/]/i.test(url)) return 'its url must begin with https://, http:// or data:';
    if (/\s/.test(url)) return 'its url must have no spaces';
    return url.length > longestUrl ? `its url has more than ${longestUrl} characters` : undefined;
  }
  if (url.length > longestDataUrl)
    return `its data URL has ${url.length} characters, at most ${longestDataUrl} go along; give it by https URL or by a file id of the provider`;
  const media = type === 'image' ? 'image/' : '';
  if (!/^data:[\w.+-]+\/[\w.+-]+;base64,[\w+/]+={0,2}$/.test(url) || !url.startsWith(`data:${media}`))
    return `its data URL must be of the form data:${type === 'image' ? 'image/png' : 'application/pdf'};base64,…`;
  return type === 'file' && !named ? 'a file by data URL needs a filename' : undefined;
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= longestName;
}
