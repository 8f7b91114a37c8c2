import OpenAI from 'openai';
import { failure } from '../../failures.ts';
import { parseChatReply } from './chat-reply.ts';
import { modelFailure } from './model-failure.ts';
import type { ModelApi, ModelProvider, ModelReply } from './model.ts';
import { parseResponse, type ReplySource } from './responses-reply.ts';

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
  /** How models are asked. Default: `responses` at OpenAI and Azure, `chat` elsewhere, as compatible servers mostly have nothing else. */
  api?: ModelApi | ((model: string) => ModelApi);
}

/** Attempts after which an answer that is none is final. */
const mostMalformed = 5;

/** A provider that speaks OpenAI's protocols, Responses or Chat Completions, through the `openai` package. */
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
  const { api = hasResponses(baseURL) ? 'responses' : 'chat' } = options;
  return {
    name: 'openai',
    defaultModel: options.model ?? env.OPENAI_MODEL ?? 'gpt-5-mini',
    apiOf: (model) => (typeof api === 'function' ? api(model) : api),
    async call(asked, { signal, attempt, named }) {
      let answer: unknown;
      try {
        answer =
          asked.api === 'responses'
            ? await client.responses.create(
                asked.request as unknown as OpenAI.Responses.ResponseCreateParamsNonStreaming,
                { signal },
              )
            : await client.chat.completions.create(
                asked.request as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming,
                { signal },
              );
      } catch (thrown) {
        signal.throwIfAborted();
        throw modelFailure(thrown, attempt, apiKey);
      }
      const { api: by, request } = asked;
      return readAnswer(answer, attempt, {
        api: by,
        model: request.model,
        ...(named !== undefined && { provider: named }),
      });
    },
  };
}

function readAnswer(answer: unknown, attempt: number, source: ReplySource): ModelReply {
  const reply = source.api === 'responses' ? parseResponse(answer, source) : parseChatReply(answer, source);
  if (!reply) {
    const what = source.api === 'responses' ? 'a response' : 'a chat completion';
    throw failure('ModelUnavailable', `the model provider answered with something that is not ${what}`, {
      final: attempt >= mostMalformed,
    });
  }
  if (!('failed' in reply)) return reply;
  const { code, message } = reply.failed;
  const said = `the model provider gave up (${code}): ${message}`.slice(0, 1_000);
  throw failure('ModelUnavailable', said, { final: attempt >= mostMalformed });
}

/** The services that have the Responses API for sure. */
function hasResponses(baseURL: string | undefined): boolean {
  if (!baseURL || !URL.canParse(baseURL)) return !baseURL;
  return /(^|\.)(api\.openai\.com|openai\.azure\.com|services\.ai\.azure\.com)$/.test(
    new URL(baseURL).hostname,
  );
}
