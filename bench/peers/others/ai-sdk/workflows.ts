/** The benchmark's agent as a user of `@temporalio/ai-sdk` writes it. */
import { temporalProvider } from '@temporalio/ai-sdk/workflow';
import { proxyActivities } from '@temporalio/workflow';
import { generateText, jsonSchema, stepCountIs, tool } from 'ai';
import { instructions, pageSchema, pageTool, type PageRequest } from '../../../history/book.ts';

interface Activities {
  read_page(request: PageRequest): Promise<string>;
}

const { read_page: readPage } = proxyActivities<Activities>({ startToCloseTimeout: '5 minutes' });

export async function readerAgent(task: string): Promise<string> {
  const { text } = await generateText({
    model: temporalProvider.languageModel('test-model'),
    system: instructions,
    prompt: task,
    tools: {
      [pageTool.name]: tool({
        description: pageTool.description,
        inputSchema: jsonSchema<PageRequest>(pageSchema),
        execute: async (request) => await readPage(request),
      }),
    },
    stopWhen: stepCountIs(1_000),
  });
  return text;
}
