import type { ChatRequest } from '../../testing/chat-protocol.ts';
import type { ModelAnswer } from '../../testing/render-chat-reply.ts';
import { completeArguments } from './complete-arguments.ts';
import { extractAnswer } from './extract-answer.ts';
import { fillSchema } from './fill-schema.ts';
import { isObject } from './json.ts';
import type { PlannedCall } from './planned-call.ts';
import { planToolCalls } from './plan-tool-calls.ts';
import type { Situation } from './read-request.ts';
import { readRequest } from './read-request.ts';
import { reviewDraft } from './review-draft.ts';
import { sayHowToAsk } from './say-how-to-ask.ts';

/** Answers a request by rules over what is in it: with tool calls while they promise something new, then with the answer. */
export function respondByRules(request: ChatRequest): ModelAnswer {
  const situation = readRequest(request);
  const calls = chooseCalls(request, situation);
  if (calls.length > 0)
    return {
      toolCalls: calls.map((call) => ({
        name: call.tool.function.name,
        arguments: completeArguments(call, situation).arguments,
      })),
    };
  const answer = extractAnswer(situation);
  if (!situation.outputSchema)
    return { text: [answer.text, ...sayHowToAsk(situation, answer)].filter(Boolean).join('\n') };
  const output = fillSchema(situation.outputSchema, situation, answer, reviewDraft(situation));
  return { text: JSON.stringify(output) };
}

function chooseCalls(request: ChatRequest, situation: Situation): PlannedCall[] {
  const { tool_choice: choice } = request;
  if (choice === 'none') return [];
  const named = isObject(choice) && isObject(choice['function']) ? choice['function']['name'] : undefined;
  const allowed =
    named === undefined ? situation.tools : situation.tools.filter((tool) => tool.function.name === named);
  const planned = planToolCalls({ ...situation, tools: allowed });
  const first = allowed[0];
  const forced = (choice === 'required' || named !== undefined) && planned.length === 0 && first;
  const calls = forced ? [{ tool: first, arguments: {} }] : planned;
  return request.parallel_tool_calls === false ? calls.slice(0, 1) : calls;
}
