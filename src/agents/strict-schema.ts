import type { Json } from '../protocol/protocol.ts';

const unsupported = new Set([
  'allOf',
  'not',
  'dependentRequired',
  'dependentSchemas',
  'if',
  'then',
  'else',
  'patternProperties',
  'propertyNames',
  'oneOf',
  'default',
  'contains',
  'uniqueItems',
  'prefixItems',
  'additionalItems',
  'contentEncoding',
]);
const formats = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uuid',
]);
/** Look-ahead and look-behind, which the service's patterns do not have. */
const lookAround = /\(\?<?[=!]/;

/**
 * Whether a JSON schema keeps to the subset for which OpenAI's structured outputs guarantee a fit: its root is an object, and
 * every object is closed and requires all its properties. The service refuses a request that claims it for any other schema.
 * Source: OpenAI's guide "Structured model outputs", section "Supported schemas".
 */
export function isStrictSchema(schema: Json): boolean {
  return (
    typeof schema === 'object' &&
    schema !== null &&
    !Array.isArray(schema) &&
    schema.type === 'object' &&
    fits(schema)
  );
}

function fits(schema: Json | undefined): boolean {
  if (schema === null || typeof schema !== 'object' || Array.isArray(schema)) return false;
  if (Object.keys(schema).some((key) => unsupported.has(key))) return false;
  if (typeof schema.format === 'string' && !formats.has(schema.format)) return false;
  if (typeof schema.pattern === 'string' && lookAround.test(schema.pattern)) return false;
  // A schema without a type accepts anything, which the subset does not have.
  if (!['type', 'anyOf', '$ref'].some((key) => key in schema)) return false;
  const properties = (schema.properties ?? {}) as Record<string, Json>;
  if (schema.type === 'object') {
    const required = new Set((schema.required as string[] | undefined) ?? []);
    if (schema.additionalProperties !== false || !Object.keys(properties).every((name) => required.has(name)))
      return false;
  }
  const definitions = { ...(schema.definitions as object), ...(schema.$defs as object) } as Record<
    string,
    Json
  >;
  return [
    ...Object.values(properties),
    ...Object.values(definitions),
    ...((schema.anyOf as Json[] | undefined) ?? []),
    ...('items' in schema ? [schema.items] : []),
  ].every(fits);
}
