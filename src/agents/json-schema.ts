import { z } from 'zod';
import { describeThrown } from '../protocol/failures.ts';
import type { Json } from '../protocol/protocol.ts';

/** The JSON Schema of a zod schema, as the providers take it. What cannot be expressed is noted, and comes out empty. */
export function jsonSchema(schema: unknown, what: string, note: (problem: string) => void): Json {
  try {
    // The draft whose tuples the providers take; `$schema` itself is noise in every request.
    const { $schema: _, ...rest } = z.toJSONSchema(schema as z.ZodType, {
      target: 'draft-2020-12',
      io: 'input',
    }) as { [key: string]: Json };
    return closeObjects(JSON.parse(JSON.stringify(rest)) as Json);
  } catch (thrown) {
    note(`${what} is not a schema that JSON Schema can express: ${describeThrown(thrown)}`);
    return {};
  }
}

/** Tells the model that an object takes no other keys, as zod drops them anyway. */
function closeObjects(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(closeObjects);
  if (schema === null || typeof schema !== 'object') return schema;
  const closed = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closeObjects(value)]));
  const open = closed.type === 'object' && 'properties' in closed && !('additionalProperties' in closed);
  return open ? { ...closed, additionalProperties: false } : closed;
}
