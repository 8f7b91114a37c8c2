import { Context } from '@temporalio/activity';
import OpenAI from 'openai';
import type {
  ChatCompletionMessage,
  ChatCompletionMessageParam,
  ChatCompletionMessageToolCall,
  ChatCompletionTool,
  ChatCompletionToolMessageParam,
} from 'openai/resources/chat/completions';
import { instructions, pageSchema, pageTool, readPage, type PageRequest } from '../book.ts';

const tools: ChatCompletionTool[] = [
  {
    type: 'function',
    function: {
      ...pageTool,
      strict: true,
      parameters: pageSchema,
    },
  },
];

/** What the conversation goes on with. */
type Reply = Pick<ChatCompletionMessage, 'role' | 'content' | 'tool_calls'>;

/** The loop's two activities. The client reads `OPENAI_API_KEY` and `OPENAI_BASE_URL`; Temporal does the retries. */
export function createActivities(client = new OpenAI({ maxRetries: 0 })) {
  return {
    async callModel(conversation: ChatCompletionMessageParam[]): Promise<Reply> {
      const completion = await client.chat.completions.create(
        {
          model: 'test-model',
          messages: [{ role: 'system', content: instructions }, ...conversation],
          tools,
        },
        { signal: Context.current().cancellationSignal },
      );
      const message = completion.choices[0]?.message;
      if (!message) throw new Error('the model gave no reply');
      const { role, content, tool_calls: calls } = message;
      return { role, content, ...(calls && { tool_calls: calls }) };
    },

    async callTool(call: ChatCompletionMessageToolCall): Promise<ChatCompletionToolMessageParam> {
      const content =
        call.type === 'function' ? runTool(call.function) : `There is no tool of type ${call.type}.`;
      return { role: 'tool', tool_call_id: call.id, content };
    },
  };
}

export type Activities = ReturnType<typeof createActivities>;

function runTool({ name, arguments: text }: { name: string; arguments: string }): string {
  if (name !== pageTool.name) return `There is no tool ${name}.`;
  return readPage(JSON.parse(text) as PageRequest);
}
