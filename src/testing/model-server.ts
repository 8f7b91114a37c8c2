import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChatRequest } from './chat-protocol.ts';
import { errorBody } from './chat-protocol.ts';
import { findChatPartProblem } from './check-parts.ts';
import { findRequestProblem } from './check-chat-request.ts';
import { listenOnLoopback, readBody, sendJson } from './loopback-http.ts';
import type { ModelAnswer } from './render-chat-reply.ts';
import { sendChatAnswer } from './render-chat-reply.ts';
import { sendResponse } from './render-response.ts';
import { asChatRequest, findResponsesProblem, type ResponsesRequest } from './responses-protocol.ts';

export interface ModelServerRequest extends ChatRequest {
  /** The API that the request came by: one of Responses is given in the words of Chat Completions. */
  api: 'chat' | 'responses';
  /** How many requests came before this one. */
  index: number;
  /** Aborted when the client goes away or the server closes. */
  aborted: AbortSignal;
}

/**
 * What the server does with a request: answer, refuse with an HTTP status, never answer, send text that may be no valid
 * reply, or tear the connection down.
 */
export type ModelServerReply =
  | ModelAnswer
  | { status: number; body?: unknown; headers?: Record<string, string> }
  | { hang: true }
  | { raw: string; contentType?: string }
  | { destroy: true };

/** A model request as it arrived; listing the models is not recorded. */
export interface RecordedRequest {
  path: string;
  /** The body's text, byte for byte. */
  rawBody: string;
  /** The parsed body; undefined when it was not JSON. */
  body: ChatRequest | undefined;
  /** Credentials are replaced by `[redacted]`. */
  headers: Record<string, string>;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface ModelServerOptions {
  /** What it throws goes to the client as status 400, which no client retries. */
  respond: (request: ModelServerRequest) => ModelServerReply | Promise<ModelServerReply>;
  /** Default: a free one. */
  port?: number;
  /** Milliseconds to wait before every reply; default 0. */
  latencyMs?: number;
  /** Whether `requests` is kept; default true. Turn it off for long runs with large bodies. */
  record?: boolean;
  /** Whether requests that the real service would refuse are refused with status 400; default true. */
  check?: boolean;
  /** What GET /v1/models lists; default one model named `test-model`. */
  models?: { id: string; ownedBy: string }[];
  systemFingerprint?: string;
}

export interface ModelServer {
  /** Ends in `/v1`: what the `openai` client takes as `baseURL`. */
  baseURL: string;
  requests: RecordedRequest[];
  /** Ends open requests too. */
  close(): Promise<void>;
}

const BODY_LIMIT = 64 * 1024 * 1024;
const SECRET_HEADER = /^(proxy-)?authorization$|cookie|api-?key|token|secret/;

/** Starts a server on 127.0.0.1 that speaks OpenAI's Chat Completions and Responses, streaming or not, and replies as you say. */
export async function createModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const requests: RecordedRequest[] = [];
  const closing = new AbortController();
  let arrived = 0;

  async function complete(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const rawBody = await readBody(request, BODY_LIMIT);
    const index = arrived++;
    if (rawBody === undefined)
      return refuse(response, 413, `The request body is larger than ${BODY_LIMIT} bytes.`);
    const body = parseBody(rawBody);
    const headers = redact(request.headers);
    if (options.record !== false) requests.push({ path, rawBody, body, headers, at: Date.now() });
    if (!body) return refuse(response, 400, 'The request body is not a JSON object.');
    const responses = path.endsWith('/responses') ? (body as unknown as ResponsesRequest) : undefined;
    const chat = responses ? asChatRequest(responses) : body;
    const problem =
      options.check === false
        ? undefined
        : ((responses ? findResponsesProblem(responses) : findChatPartProblem(chat.messages ?? [])) ??
          findRequestProblem(chat));
    if (problem) return refuse(response, 400, problem);
    const aborted = AbortSignal.any([closing.signal, abortedByClient(response)]);
    const api = responses ? ('responses' as const) : ('chat' as const);
    const reply = await ask(options, { ...chat, api, index, aborted });
    if (aborted.aborted) return;
    send(response, reply, (answer) => {
      if (responses) return sendResponse(response, responses, rawBody, answer);
      const fingerprint = options.systemFingerprint ?? 'cadenza-testing';
      sendChatAnswer(response, body, rawBody, answer, fingerprint);
    });
  }

  const http = await listenOnLoopback(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://127.0.0.1').pathname;
    const route = `${request.method} ${path}`;
    if (route === 'POST /v1/chat/completions' || route === 'POST /v1/responses')
      return complete(path, request, response);
    if (route === 'GET /v1/models') return sendJson(response, 200, listModels(options.models));
    return refuse(response, 404, `${route} is not served here.`);
  }, options.port);

  return {
    baseURL: `${http.origin}/v1`,
    requests,
    close() {
      closing.abort(new Error('The model server was closed.'));
      return http.close();
    },
  };
}

type ScriptedTurn =
  ModelServerReply | ((request: ModelServerRequest) => ModelServerReply | Promise<ModelServerReply>);

/**
 * A `respond` that says the script's turns in order, or those of the script that a function picks for the request.
 * Which turn is next is read from the conversation (its assistant messages), never counted across calls: a retried
 * request, or one from another worker, gets the same turn again. Past the end it replies with status 400.
 */
export function scriptedModel(
  turns: ScriptedTurn[] | ((request: ModelServerRequest) => ScriptedTurn[] | ModelServerReply),
): (request: ModelServerRequest) => Promise<ModelServerReply> {
  return async (request) => {
    const script = typeof turns === 'function' ? turns(request) : turns;
    if (!Array.isArray(script)) return script;
    const turn = request.messages.filter((message) => message.role === 'assistant').length;
    const reply = script[turn];
    if (reply) return typeof reply === 'function' ? reply(request) : reply;
    const message = `The script has ${script.length} turns, and turn ${turn + 1} was asked for.`;
    return { status: 400, body: errorBody(message, 'invalid_request_error', 'script_ended') };
  };
}

async function ask(options: ModelServerOptions, request: ModelServerRequest): Promise<ModelServerReply> {
  try {
    if (options.latencyMs) await delay(options.latencyMs, undefined, { signal: request.aborted });
    return await options.respond(request);
  } catch (error) {
    const message = `respond() threw: ${error instanceof Error ? error.message : String(error)}`;
    return { status: 400, body: errorBody(message, 'invalid_request_error', 'respond_threw') };
  }
}

function send(
  response: ServerResponse,
  reply: ModelServerReply,
  sendAnswer: (answer: ModelAnswer) => void,
): void {
  if ('hang' in reply) return;
  if ('destroy' in reply) {
    response.destroy();
  } else if ('raw' in reply) {
    response.writeHead(200, { 'content-type': reply.contentType ?? 'application/json' });
    response.end(reply.raw);
  } else if ('status' in reply) {
    const body = reply.body ?? errorBody(`The model server was told to reply ${reply.status}.`, 'scripted');
    if (typeof body !== 'string') return sendJson(response, reply.status, body, reply.headers);
    response.writeHead(reply.status, { 'content-type': 'text/plain', ...reply.headers });
    response.end(body);
  } else {
    sendAnswer(reply);
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, errorBody(message, 'invalid_request_error'));
}

function abortedByClient(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort(new Error('The client went away.'));
  });
  return controller.signal;
}

function parseBody(rawBody: string): ChatRequest | undefined {
  try {
    const body: unknown = JSON.parse(rawBody);
    return body !== null && typeof body === 'object' && !Array.isArray(body)
      ? (body as ChatRequest)
      : undefined;
  } catch {
    return undefined;
  }
}

function redact(headers: IncomingMessage['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      SECRET_HEADER.test(name) ? '[redacted]' : String(value),
    ]),
  );
}

function listModels(models: ModelServerOptions['models']): object {
  const listed = models ?? [{ id: 'test-model', ownedBy: 'cadenza-testing' }];
  return {
    object: 'list',
    data: listed.map(({ id, ownedBy }) => ({ id, object: 'model', created: 0, owned_by: ownedBy })),
  };
}
