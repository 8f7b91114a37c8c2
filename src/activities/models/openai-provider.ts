import { ApplicationFailure } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type OpenAI from 'openai';
import type { Duration } from '../../protocol/duration.ts';
import { checkProviderLimits, type ProviderLimits } from '../../protocol/provider-limits.ts';
import { failure } from '../../protocol/failures.ts';
import type { ModelRequest } from '../../transcript/model-request.ts';
import { parseChatReply } from './chat-reply.ts';
import { modelFailure } from './model-failure.ts';
import { lazyClient } from './openai-client.ts';
import type { ModelApi, ModelProvider, ModelReply } from './model.ts';
import type { ReplySource } from './reply-parts.ts';
import { parseResponse } from './responses-reply.ts';
import { ChatCollector, readStream, ResponsesCollector, type StreamOptions } from './stream-reply.ts';

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
  /** Whether replies are read while they are written, so that they can be watched and one that stands still is noticed. Default `true`. */
  stream?: boolean;
  /** How long a reply that has begun may stand still before it is asked for again. Default 1 minute. */
  streamIdle?: Duration;
  /** What all workers of a namespace together may ask. Default: no limits. */
  limits?: ProviderLimits;
}

type ResponseParams = OpenAI.Responses.ResponseCreateParamsNonStreaming;
type ChatParams = OpenAI.ChatCompletionCreateParamsNonStreaming;

/** Attempts after which an answer that is none is final. */
const mostMalformed = 5;

/** A provider that speaks OpenAI's protocols, Responses or Chat Completions, through the `openai` package. */
export function openaiProvider(options: OpenAIProviderOptions = {}): ModelProvider {
  const { env } = process;
  const { limits } = options;
  if (limits) checkProviderLimits(limits);
  const apiKey = options.apiKey ?? env.OPENAI_API_KEY;
  if (!apiKey) {
    throw new TypeError(
      'No API key for the model provider: set OPENAI_API_KEY, or pass apiKey to openaiProvider().',
    );
  }
  const baseURL = options.baseURL ?? env.OPENAI_BASE_URL;
  const clientOf = lazyClient({
    apiKey,
    ...(baseURL && { baseURL }),
    ...(options.headers && { defaultHeaders: options.headers }),
    // Temporal repeats a failed call, and the call has its own deadline.
    maxRetries: 0,
    // What it logs quotes what models say.
    logLevel: 'off',
    timeout: 24 * 60 * 60 * 1000,
  });
  const { api = hasResponses(baseURL) ? 'responses' : 'chat', stream = true } = options;
  const idleMs = msToNumber(options.streamIdle ?? '1 minute');
  return {
    name: 'openai',
    ...(limits && { limits }),
    defaultModel: options.model ?? env.OPENAI_MODEL ?? 'gpt-5-mini',
    apiOf: (model) => (typeof api === 'function' ? api(model) : api),
    async call(asked, { signal, attempt, named, onText }) {
      const { client, errors } = await clientOf();
      let answer: unknown;
      try {
        if (stream) answer = await streamed(client, asked, { signal, idleMs, onText });
        else
          answer =
            asked.api === 'responses'
              ? await client.responses.create(asked.request as unknown as ResponseParams, { signal })
              : await client.chat.completions.create(asked.request as unknown as ChatParams, { signal });
      } catch (thrown) {
        signal.throwIfAborted();
        if (thrown instanceof ApplicationFailure) throw thrown;
        throw modelFailure(errors, thrown, attempt, apiKey, ...Object.values(options.headers ?? {}));
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

/** Sends a request and reads its reply while it is written. A server that answers whole all the same is understood. */
async function streamed(client: OpenAI, asked: ModelRequest, options: StreamOptions): Promise<unknown> {
  const { signal } = options;
  const { data, response } =
    asked.api === 'responses'
      ? await client.responses
          .create({ ...(asked.request as unknown as ResponseParams), stream: true }, { signal })
          .withResponse()
      : await client.chat.completions
          .create(
            {
              ...(asked.request as unknown as ChatParams),
              stream: true,
              stream_options: { include_usage: true },
            },
            { signal },
          )
          .withResponse();
  const type = response.headers.get('content-type');
  if (type?.includes('application/json')) return await response.json();
  // A page of a proxy or of a login: no reply, and none after an hour either.
  if (type?.includes('text/html')) {
    await response.body?.cancel();
    return undefined;
  }
  const collector = asked.api === 'responses' ? new ResponsesCollector() : new ChatCollector();
  return await readStream(data, collector, options);
}

function readAnswer(answer: unknown, attempt: number, source: ReplySource): ModelReply {
  const reply = source.api === 'responses' ? parseResponse(answer, source) : parseChatReply(answer, source);
  if (!reply) {
    const what = source.api === 'responses' ? 'a response' : 'a chat completion';
    throw failure('ModelUnavailable', `the model provider answered with something that is not ${what}`, {
      final: attempt >= mostMalformed,
    });
  }
  if (!('failed' in reply)) return { ...reply, ...answeredBy(answer) };
  const { code, message } = reply.failed;
  const said = `the model provider gave up (${code}): ${message}`.slice(0, 1_000);
  throw failure('ModelUnavailable', said, { final: attempt >= mostMalformed });
}

/** Who answered, and under which id, as far as the provider says so. */
function answeredBy(answer: unknown): Pick<ModelReply, 'model' | 'id'> {
  const { model, id } = answer as { model?: unknown; id?: unknown };
  return { ...(typeof model === 'string' && { model }), ...(typeof id === 'string' && { id }) };
}

/** The services that have the Responses API for sure. */
function hasResponses(baseURL: string | undefined): boolean {
  if (!baseURL || !URL.canParse(baseURL)) return !baseURL;
  return /(^|\.)(api\.openai\.com|openai\.azure\.com|services\.ai\.azure\.com)$/.test(
    new URL(baseURL).hostname,
  );
}
