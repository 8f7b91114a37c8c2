export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The value a text holds as JSON, also when prose or a code fence surrounds one object; else undefined. */
export function parseJson(text: string): unknown {
  const trimmed = text.trim();
  return tryParse(trimmed) ?? tryParse(trimmed.slice(trimmed.indexOf('{'), trimmed.lastIndexOf('}') + 1));
}

const CUT_NOTE = /\s*\[[^\]"]*\b(cut|truncated)\b[^\]]*\]\s*$/i;

/** What a text that begins as JSON and was cut off still holds: it is closed where it breaks off, or after its last whole value. */
export function parseCutJson(text: string): unknown {
  const begun = text.trim().replace(CUT_NOTE, '');
  const open: string[] = [];
  let isString = false;
  let whole: string | undefined;
  for (let at = 0; at < begun.length; at++) {
    const character = begun[at] ?? '';
    if (isString) {
      if (character === '\\') at++;
      else if (character === '"') isString = false;
    } else if (character === '"') {
      isString = true;
    } else if (character === '{' || character === '[') {
      open.push(character === '{' ? '}' : ']');
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === ',') {
      whole = begun.slice(0, at) + open.toReversed().join('');
    }
  }
  const closed = `${begun}${isString ? '"' : ''}${open.toReversed().join('')}`;
  return tryParse(closed) ?? (whole === undefined ? undefined : tryParse(whole));
}

function tryParse(text: string): unknown {
  if (!/^[[{"]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
