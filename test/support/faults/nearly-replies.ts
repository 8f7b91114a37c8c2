import fc from 'fast-check';

const any = fc.jsonValue();
/** Texts as they occur, and those that break things: names of every object, arguments that nearly are JSON. */
const text = fc.oneof(
  fc.string(),
  fc.constantFrom(
    '',
    ' ',
    'add',
    'charge',
    '__proto__',
    'constructor',
    'toString',
    '\u0000',
    '\ud800',
    '{"a":',
    'null',
  ),
);
const usage = fc.oneof(
  any,
  fc.record({ prompt_tokens: any, completion_tokens: any, input_tokens: any }, { requiredKeys: [] }),
);
const args = fc.oneof(
  text,
  any,
  fc.json(),
  fc.constantFrom('{"amount":1}', '{"a":1,"b":2}', '{"a":1,"b":"2"}'),
);

/** Chat completions that are nearly right. */
export function nearlyCompletions(): fc.Arbitrary<unknown> {
  const toolCall = fc.oneof(
    fc.record(
      {
        id: fc.oneof(text, any),
        function: fc.oneof(
          fc.record({ name: fc.oneof(text, any), arguments: args }, { requiredKeys: [] }),
          any,
        ),
      },
      { requiredKeys: [] },
    ),
    any,
  );
  const message = fc.record(
    {
      content: fc.oneof(text, any),
      refusal: any,
      tool_calls: fc.oneof(fc.array(toolCall, { maxLength: 4 }), any),
      reasoning_details: any,
    },
    { requiredKeys: [] },
  );
  const choice = fc.record({ finish_reason: any, message: fc.oneof(message, any) }, { requiredKeys: [] });
  return fc.record(
    { choices: fc.oneof(fc.array(choice, { maxLength: 2 }), any), usage },
    { requiredKeys: [] },
  );
}

/** Responses that are nearly right. */
export function nearlyResponses(): fc.Arbitrary<unknown> {
  const call = fc.record(
    {
      type: fc.constant('function_call'),
      id: any,
      call_id: fc.oneof(text, any),
      name: fc.oneof(text, any),
      arguments: args,
    },
    { requiredKeys: ['type'] },
  );
  const part = fc.record({ type: any, text: fc.oneof(text, any), refusal: any }, { requiredKeys: [] });
  const message = fc.record(
    { type: fc.constant('message'), content: fc.oneof(fc.array(part, { maxLength: 3 }), any) },
    { requiredKeys: ['type'] },
  );
  const other = fc.record({ type: text, data: any });
  return fc.record(
    {
      status: fc.oneof(fc.constantFrom('completed', 'incomplete', 'failed', 'queued'), any),
      error: any,
      incomplete_details: any,
      output: fc.oneof(fc.array(fc.oneof(call, message, other, any), { maxLength: 4 }), any),
      usage,
    },
    { requiredKeys: ['output'] },
  );
}
