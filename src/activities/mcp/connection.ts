import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { McpServer } from '../../agents/mcp.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import type { Json } from '../../protocol/protocol.ts';
import { optionalPackage } from '../../installation/optional-package.ts';

/** A tool as its server describes it. */
export interface OfferedTool {
  name: string;
  description?: string | undefined;
  inputSchema: Json;
}

/** What a call came to: text and structured content for the model; `error` where the server says that it failed. */
export interface McpResult {
  output: Json;
  error: boolean;
}

/** The longest time for a request, in milliseconds, where the caller has a signal of its own. */
const longestMs = 24 * 60 * 60 * 1000;
const connectMs = 30_000;
/** Pages of a catalogue; a server that has no end of them is broken. */
const mostPages = 100;
/** Given-up connections to a server that still have requests under way: one that fails over and over must not gather any number. */
const mostRetired = 10;
/** Runs of which it is known that the catalogue was read for them; a run that was forgotten has it read once more. */
const mostRuns = 1_000;

/**
 * One worker's connection to one server. It is made when it is first needed, and again after it broke; the catalogue is read once for each run,
 * as many a server says nothing of its changes, and again when the server says that it changed, or for a new connection.
 */
export class McpConnection {
  private readonly server: McpServer;
  private client: Promise<Client> | undefined;
  private catalogue: Promise<OfferedTool[]> | undefined;
  /** Requests under way. */
  private readonly underWay = new Map<Client, number>();
  /** Given up, and still with requests under way, oldest first. */
  private readonly retired = new Set<Client>();
  /** Those that the catalogue was read for, oldest first. */
  private readonly runs = new Set<string>();
  private reading = false;

  constructor(server: McpServer) {
    this.server = server;
  }

  /**
   * The server's tools, as they were when the run first asked here, or are since then as far as the server has said so. Throws `McpUnavailable`
   * where it cannot be reached.
   */
  async tools(run: string): Promise<OfferedTool[]> {
    const client = await this.connected();
    // One that is being read is new enough for a run that begins meanwhile.
    if (this.isNew(run) && !this.reading) this.catalogue = undefined;
    this.catalogue ??= this.read(client);
    return await this.catalogue;
  }

  private async read(client: Client): Promise<OfferedTool[]> {
    this.reading = true;
    try {
      return await this.using(client, async () => await readCatalogue(client));
    } catch (thrown) {
      this.catalogue = undefined;
      throw this.unavailable(thrown);
    } finally {
      this.reading = false;
    }
  }

  private isNew(run: string): boolean {
    if (this.runs.has(run)) return false;
    this.runs.add(run);
    const [oldest] = this.runs;
    if (oldest !== undefined && this.runs.size > mostRuns) this.runs.delete(oldest);
    return true;
  }

  /**
   * Calls a tool, once. What breaks in the middle is thrown as it is: the call may have taken effect. Throws `McpUnavailable` where it did not
   * reach the server.
   */
  async call(name: string, input: Record<string, unknown>, signal: AbortSignal): Promise<McpResult> {
    const send = async () => {
      const client = await this.connected();
      try {
        const options = { signal, timeout: longestMs };
        return await this.using(
          client,
          async () => await client.callTool({ name, arguments: input }, undefined, options),
        );
      } catch (thrown) {
        // What a server answers for itself says nothing against the connection to it.
        if (!signal.aborted && !isAnswer(thrown)) await this.drop(client);
        throw thrown;
      }
    };
    const result = await send()
      // A server that was started anew knows no older sessions: it has done nothing, and is to be greeted again.
      .catch(async (thrown: unknown) => {
        if (!isSessionGone(thrown)) throw thrown;
        return await send();
      })
      .catch((thrown: unknown) => {
        throw isUnreached(thrown) ? this.unavailable(thrown) : thrown;
      });
    const {
      content = [],
      structuredContent,
      isError,
    } = result as {
      content?: { type: string; text?: string; mimeType?: string }[];
      structuredContent?: Json;
      isError?: boolean;
    };
    const text = content
      .map((part) => part.text ?? `[${part.type}${part.mimeType ? ` ${part.mimeType}` : ''}]`)
      .join('\n');
    return { output: structuredContent ?? text, error: isError === true };
  }

  async close(): Promise<void> {
    const client = await this.client?.catch(() => undefined);
    this.client = undefined;
    for (const each of [client, ...this.retired]) await each?.close().catch(() => undefined);
    this.retired.clear();
  }

  /** Keeps a connection open for a request, also where it is given up meanwhile: closed, it would cut off what other runs ask over it. */
  private async using<T>(client: Client, request: () => Promise<T>): Promise<T> {
    this.underWay.set(client, (this.underWay.get(client) ?? 0) + 1);
    try {
      return await request();
    } finally {
      const left = (this.underWay.get(client) ?? 1) - 1;
      if (left > 0) this.underWay.set(client, left);
      else {
        this.underWay.delete(client);
        if (this.retired.delete(client)) closeSoon(client);
      }
    }
  }

  /** Gives up a connection that failed, unless there is another already. It is closed when nothing is under way over it any more. */
  private async drop(client: Client): Promise<void> {
    if ((await this.client?.catch(() => undefined)) !== client) return;
    this.client = undefined;
    this.catalogue = undefined;
    if (!this.underWay.has(client)) return closeSoon(client);
    this.retired.add(client);
    const [oldest] = this.retired;
    if (oldest && this.retired.size > mostRetired && this.retired.delete(oldest)) closeSoon(oldest);
  }

  private async connected(): Promise<Client> {
    this.client ??= this.connect().catch((thrown: unknown) => {
      this.client = undefined;
      throw this.unavailable(thrown);
    });
    return await this.client;
  }

  private async connect(): Promise<Client> {
    this.catalogue = undefined;
    const [{ Client: McpClient }, { ToolListChangedNotificationSchema }] = await load();
    const client = new McpClient({ name: 'cadenza', version: '0.1.0' });
    client.onclose = () => void this.drop(client);
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      this.catalogue = undefined;
    });
    await client.connect(await this.transport(), { timeout: connectMs });
    return client;
  }

  private async transport() {
    const { server } = this;
    if ('url' in server) {
      const { StreamableHTTPClientTransport } =
        await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
      const { headers = {} } = server;
      // Its type of an optional session id is looser than what it implements.
      return new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers } }) as never;
    }
    const { StdioClientTransport, getDefaultEnvironment } =
      await import('@modelcontextprotocol/sdk/client/stdio.js');
    const { command, args = [], env = {}, cwd } = server;
    return new StdioClientTransport({
      command,
      args: [...args],
      env: { ...getDefaultEnvironment(), ...env },
      // What it logs may quote what the tools were given.
      stderr: 'ignore',
      ...(cwd !== undefined && { cwd }),
    });
  }

  private unavailable(thrown: unknown): Error {
    const { name } = this.server;
    return failure(
      'McpUnavailable',
      `the MCP server "${name}" cannot be used: ${describeThrown(thrown)}`.slice(0, 1_000),
      {
        cause: toError(thrown),
      },
    );
  }
}

/** Nobody waits for a server that may be gone. */
function closeSoon(client: Client): void {
  void client.close().catch(() => undefined);
}

async function load() {
  return await optionalPackage(
    'an MCP server',
    '@modelcontextprotocol/sdk',
    async () =>
      await Promise.all([
        import('@modelcontextprotocol/sdk/client/index.js'),
        import('@modelcontextprotocol/sdk/types.js'),
      ]),
  );
}

async function readCatalogue(client: Client): Promise<OfferedTool[]> {
  const tools: OfferedTool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < mostPages; page += 1) {
    const listed = await client.listTools(cursor === undefined ? {} : { cursor });
    for (const { name, description, inputSchema } of listed.tools)
      tools.push({ name, description, inputSchema: inputSchema as Json });
    cursor = listed.nextCursor;
    if (cursor === undefined) return tools;
  }
  throw new Error(`its catalogue has more than ${mostPages} pages`);
}

/** Whether the server answered in the protocol's own words: an error of JSON-RPC, whose codes are negative. */
function isAnswer(thrown: unknown): boolean {
  const { code } = (thrown ?? {}) as { code?: unknown };
  return typeof code === 'number' && code < -1;
}

/** Whether the server knows the session no more; the protocol says 404, and its authors' own server 400. */
function isSessionGone(thrown: unknown): boolean {
  const { code, message = '' } = (thrown ?? {}) as { code?: unknown; message?: string };
  return code === 404 || (code === 400 && /session/i.test(message));
}

const unreached = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Whether a request did not get to the server, so that nothing has happened. */
function isUnreached(thrown: unknown): boolean {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth += 1) {
    const { code, errors = [] } = error as { code?: unknown; errors?: unknown[] };
    if (typeof code === 'string' && unreached.has(code)) return true;
    if (errors.length > 0 && errors.every(isUnreached)) return true;
  }
  return false;
}
