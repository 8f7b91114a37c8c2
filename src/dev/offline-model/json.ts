export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The value a text holds as JSON, also when prose or a code fence surrounds one object; else undefined. */
export function parseJson(text: string): unknown {
  const trimmed = text.trim();
  return tryParse(trimmed) ?? tryParse(trimmed.slice(trimmed.indexOf('{'), trimmed.lastIndexOf('}') + 1));
}

/** The objects without nested ones that a text cut off in the middle of its JSON still holds whole. */
export function salvageObjects(text: string): unknown[] {
  return Array.from(text.matchAll(/\{[^{}]*\}/g), ([part]) => tryParse(part)).filter(isObject);
}

function tryParse(text: string): unknown {
  if (!/^[[{"]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
