import OpenAI from 'openai';
import { afterAll, beforeAll, expect } from 'vitest';
import { z } from 'zod';
import type { OfflineModel } from '../../src/dev/offline-model/start-offline-model.ts';
import { startOfflineModel } from '../../src/dev/offline-model/start-offline-model.ts';
import { documents } from './pottery.ts';

export type Tools = Record<
  string,
  { description: string; input: z.ZodObject; execute(input: never): unknown }
>;

export interface Conversation {
  system?: string;
  user: string | object;
  tools?: Tools;
  output?: z.ZodType;
}

export let model: OfflineModel;
export let client: OpenAI;

beforeAll(async () => {
  model = await startOfflineModel();
  client = new OpenAI({ baseURL: model.baseURL, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => model.close());

export function request({
  system,
  user,
  tools = {},
  output,
}: Conversation): OpenAI.ChatCompletionCreateParamsNonStreaming {
  return {
    model: model.model,
    messages: [
      { role: 'system', content: system ?? 'You answer questions.' },
      { role: 'user', content: typeof user === 'string' ? user : JSON.stringify(user) },
    ],
    tools: Object.entries(tools).map(([name, { description, input }]) => ({
      type: 'function',
      function: { name, description, parameters: z.toJSONSchema(input), strict: true },
    })),
    ...(output && {
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'output', schema: z.toJSONSchema(output) },
      },
    }),
  };
}

/** Lets the model work with the tools until it answers. */
export async function converse(conversation: Conversation): Promise<{ text: string; calls: string[] }> {
  const asked = request(conversation);
  const calls: string[] = [];
  for (let turn = 0; turn < 12; turn++) {
    const message = (await client.chat.completions.create(asked)).choices[0]?.message;
    if (!message?.tool_calls) return { text: message?.content ?? '', calls };
    asked.messages.push(message);
    for (const call of message.tool_calls) {
      if (call.type !== 'function') continue;
      const tool = conversation.tools?.[call.function.name];
      const input = tool?.input.parse(JSON.parse(call.function.arguments));
      calls.push(`${call.function.name} ${call.function.arguments}`);
      asked.messages.push({
        role: 'tool',
        tool_call_id: call.id,
        content: JSON.stringify(tool?.execute(input as never)),
      });
    }
  }
  throw new Error(`No answer after ${calls.length} calls.`);
}

export async function fill<Output extends z.ZodType>(
  user: string | object,
  output: Output,
  more: Partial<Conversation> = {},
) {
  const { text } = await converse({ ...more, user, output });
  return output.parse(JSON.parse(text));
}

/** Every citation in a text must name a line of the documents that holds the beginning of what it stands after. */
export function expectRightCitations(text: string): void {
  const cited = Array.from(text.matchAll(/^(?:- )?(.+) \[([^\]]+):(\d+)\]$/gm));
  expect(cited.length).toBeGreaterThan(0);
  for (const [, quote = '', path = '', line] of cited)
    expect(documents[path]?.slice(Number(line) - 1).join(' ')).toContain(quote);
}
