import type { ChatMessage, ChatRequest, JsonSchema } from './chat-protocol.ts';

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool']);
const TYPING = ['type', 'anyOf', '$ref', 'enum', 'const'];
const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
/** Keywords outside the subset of JSON Schema that strict mode takes. */
const NOT_STRICT = [
  'oneOf', 'allOf', 'not', 'if', 'then', 'else', 'patternProperties', 'propertyNames', 'dependentRequired',
  'dependentSchemas', 'contains', 'uniqueItems', 'default',
]; // prettier-ignore

/**
 * What the real service would refuse in a request, as one sentence; undefined when there is nothing.
 * A server that let these through would hide mistakes until the first call that costs money.
 */
export function findRequestProblem(request: ChatRequest): string | undefined {
  if (typeof request.model !== 'string' || request.model === '') return "'model' must be a non-empty string.";
  if (!Array.isArray(request.messages) || request.messages.length === 0)
    return "'messages' must be a non-empty array.";
  return (
    findConversationProblem(request.messages) ??
    findToolProblem(request.tools ?? []) ??
    findResponseFormatProblem(request.response_format)
  );
}

function findConversationProblem(messages: ChatMessage[]): string | undefined {
  let open = new Set<string>();
  let answered = new Set<string>();
  for (const [position, message] of messages.entries()) {
    const where = `messages[${position}]`;
    if (!ROLES.has(message?.role)) return `${where}.role is not one that the API knows.`;
    if (message.role === 'tool') {
      const id = message.tool_call_id ?? '';
      if (!open.has(id) && !answered.has(id))
        return `${where} answers tool call '${id}', which no preceding assistant message made.`;
      open.delete(id);
      answered.add(id);
      continue;
    }
    if (open.size > 0) return `${where} comes before the result of tool call '${[...open].join("', '")}'.`;
    const calls = message.role === 'assistant' ? (message.tool_calls ?? []) : [];
    open = new Set(calls.map((call) => call.id));
    answered = new Set();
    if (message.content == null && calls.length === 0 && message.role !== 'assistant')
      return `${where} has no content.`;
  }
  return open.size > 0 ? `The result of tool call '${[...open].join("', '")}' is missing.` : undefined;
}

function findToolProblem(tools: NonNullable<ChatRequest['tools']>): string | undefined {
  for (const [position, tool] of tools.entries()) {
    const where = `tools[${position}].function`;
    const { name, parameters, strict } = tool.function ?? {};
    if (typeof name !== 'string' || !TOOL_NAME.test(name))
      return `${where}.name must match ${TOOL_NAME.source}.`;
    if (strict === true && parameters) {
      const problem = findStrictProblem(parameters, `${where}.parameters`);
      if (problem) return problem;
    }
  }
  return undefined;
}

function findResponseFormatProblem(format: ChatRequest['response_format']): string | undefined {
  if (format?.type !== 'json_schema') return undefined;
  const where = 'response_format.json_schema';
  const { name, schema, strict } = format.json_schema ?? { name: '' };
  if (typeof name !== 'string' || !TOOL_NAME.test(name))
    return `${where}.name must match ${TOOL_NAME.source}.`;
  if (strict !== true || !schema) return undefined;
  if (schema.type !== 'object') return `${where}.schema must have type 'object' at its root.`;
  return findStrictProblem(schema, `${where}.schema`);
}

function findStrictProblem(schema: JsonSchema, where: string): string | undefined {
  for (const keyword of NOT_STRICT)
    if (keyword in schema) return `${where} uses '${keyword}', which is not permitted when strict.`;
  if (!TYPING.some((keyword) => keyword in schema)) return `${where} must have a 'type' when strict.`;
  const { properties } = schema;
  if (schema.type === 'object' || properties) {
    if (schema.additionalProperties !== false)
      return `${where} must set 'additionalProperties' to false when strict.`;
    const required = new Set(schema.required ?? []);
    const left = Object.keys(properties ?? {}).find((name) => !required.has(name));
    if (left !== undefined) return `${where} must list '${left}' in 'required' when strict.`;
  }
  for (const [step, below] of subschemas(schema)) {
    const problem = findStrictProblem(below, `${where}${step}`);
    if (problem) return problem;
  }
  return undefined;
}

function* subschemas(schema: JsonSchema): Iterable<[string, JsonSchema]> {
  for (const group of ['properties', '$defs', 'definitions']) {
    const members = schema[group] as JsonSchema['properties'];
    for (const [name, below] of Object.entries(members ?? {})) yield [`.${group}.${name}`, below];
  }
  for (const [position, below] of (schema.anyOf ?? []).entries()) yield [`.anyOf[${position}]`, below];
  if (schema.items) yield ['.items', schema.items];
}
