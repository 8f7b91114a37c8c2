import type { JsonSchema } from '../../testing/chat-protocol.ts';
import { isObject } from './json.ts';

/** A schema with its `$ref` followed and its `allOf` merged; one without either is returned as it is. */
export function resolveSchema(schema: JsonSchema, root: JsonSchema): JsonSchema {
  let current = schema;
  for (let hops = 0; current.$ref !== undefined && hops < 20; hops++) {
    const { $ref: reference, ...beside } = current;
    current = { ...follow(reference, root), ...beside };
  }
  const { allOf: parts, ...rest } = current;
  if (!parts) return current;
  return parts
    .map((part) => resolveSchema(part, root))
    .reduce<JsonSchema>(
      (merged, part) => ({
        ...merged,
        ...part,
        properties: { ...merged.properties, ...part.properties },
        required: [...(merged.required ?? []), ...(part.required ?? [])],
      }),
      rest,
    );
}

/** The alternatives of a union, those of unions within it too; a schema that is none is its own only one. */
export function alternatives(schema: JsonSchema, root: JsonSchema): JsonSchema[] {
  const { anyOf, oneOf, ...shared } = schema;
  const listed = anyOf ?? oneOf;
  if (listed)
    return listed.flatMap((part) => alternatives({ ...shared, ...resolveSchema(part, root) }, root));
  const { type } = schema;
  return Array.isArray(type) ? type.map((one) => ({ ...schema, type: one })) : [schema];
}

/** The JSON types a schema allows, as far as it says so. */
export function schemaTypes(schema: JsonSchema): string[] {
  const listed = schema.anyOf ?? schema.oneOf;
  if (listed) return listed.flatMap(schemaTypes);
  const { type } = schema;
  if (typeof type === 'string') return [type];
  if (Array.isArray(type)) return type;
  if ('const' in schema) return [jsonType(schema.const)];
  if (schema.enum) return [...new Set(schema.enum.map(jsonType))];
  if (schema.properties) return ['object'];
  return schema.items ? ['array'] : [];
}

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function follow(reference: string, root: JsonSchema): JsonSchema {
  const steps = reference.replace(/^#\/?/, '').split('/').filter(Boolean);
  const found = steps.reduce<unknown>(
    (at, step) =>
      isObject(at) ? at[decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')] : undefined,
    root,
  );
  return isObject(found) ? found : {};
}
