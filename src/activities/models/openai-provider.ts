import OpenAI from 'openai';
import { failure } from '../../failures.ts';
import type { ChatRequest } from '../../transcript/chat-request.ts';
import { parseChatReply } from './chat-reply.ts';
import { modelFailure } from './model-failure.ts';
import type { ModelProvider } from './model.ts';

/** The argument of {@link openaiProvider}. What is absent comes from the environment. */
export interface OpenAIProviderOptions {
  /** Default: `OPENAI_API_KEY`. Never logged or recorded. */
  apiKey?: string;
  /** Default: `OPENAI_BASE_URL`, or OpenAI itself. */
  baseURL?: string;
  /** The model of agents that name none. Default: `OPENAI_MODEL`, or `gpt-5-mini`. */
  model?: string;
  /** Sent with every request. */
  headers?: Record<string, string>;
}

/** A provider that speaks OpenAI's Chat Completions protocol, through the `openai` package. */
export function openaiProvider(options: OpenAIProviderOptions = {}): ModelProvider {
  const { env } = process;
  const apiKey = options.apiKey ?? env.OPENAI_API_KEY;
  if (!apiKey) {
    throw new TypeError(
      'No API key for the model provider: set OPENAI_API_KEY, or pass apiKey to openaiProvider().',
    );
  }
  const baseURL = options.baseURL ?? env.OPENAI_BASE_URL;
  const client = new OpenAI({
    apiKey,
    ...(baseURL && { baseURL }),
    ...(options.headers && { defaultHeaders: options.headers }),
    // Temporal repeats a failed call, and the call has its own deadline.
    maxRetries: 0,
    timeout: 24 * 60 * 60 * 1000,
  });
  return {
    name: 'openai',
    defaultModel: options.model ?? env.OPENAI_MODEL ?? 'gpt-5-mini',
    async call(request: ChatRequest, { signal, attempt }) {
      let completion: unknown;
      try {
        completion = await client.chat.completions.create(
          request as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming,
          { signal },
        );
      } catch (thrown) {
        signal.throwIfAborted();
        throw modelFailure(thrown, attempt, apiKey);
      }
      const reply = parseChatReply(completion);
      if (!reply) {
        throw failure(
          'ModelUnavailable',
          'the model provider answered with something that is not a chat completion',
          {
            final: attempt >= 5,
          },
        );
      }
      return reply;
    },
  };
}
