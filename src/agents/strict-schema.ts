import type { Json } from '../protocol.ts';

const unsupported = new Set([
  'allOf', 'not', 'dependentRequired', 'dependentSchemas', 'if', 'then', 'else', 'patternProperties', 'propertyNames',
  'oneOf', 'default', 'contains', 'uniqueItems',
]);

/**
 * Whether a JSON schema keeps to the subset for which OpenAI's structured outputs guarantee a fit: every object is closed and
 * requires all its properties. Source: OpenAI's guide "Structured model outputs", section "Supported schemas".
 */
export function isStrictSchema(schema: Json): boolean {
  if (Array.isArray(schema)) return schema.every(isStrictSchema);
  if (schema === null || typeof schema !== 'object') return true;
  if (Object.keys(schema).some((key) => unsupported.has(key))) return false;
  if (schema.type === 'object') {
    const properties = Object.keys((schema.properties as object | undefined) ?? {});
    const required = new Set((schema.required as string[] | undefined) ?? []);
    if (schema.additionalProperties !== false || !properties.every((name) => required.has(name))) return false;
    return Object.values((schema.properties as Record<string, Json> | undefined) ?? {}).every(isStrictSchema);
  }
  // A schema without a type accepts anything, which the subset does not have.
  const typed = ['type', 'anyOf', '$ref', 'enum', 'const'].some((key) => key in schema);
  const nested = [schema.items, schema.anyOf].filter((part) => part !== undefined);
  const definitions = Object.values((schema.definitions ?? schema.$defs ?? {}) as Record<string, Json>);
  return typed && [...nested, ...definitions].every((part) => isStrictSchema(part as Json));
}
