import { z } from 'zod';
import { NotDone, ToolError, type AnyTool, type ToolContext } from '../../agents/define-tool.ts';
import type { McpServer, McpToolOptions } from '../../agents/mcp.ts';
import { registerTool, type RegisteredAgent, type RegisteredTool } from '../../agents/registry.ts';
import { digestJson, digestText } from '../../protocol/digest.ts';
import type { Json, ToolSchema } from '../../protocol/protocol.ts';
import { McpConnection, type OfferedTool } from './connection.ts';

/** Longest description of a tool that the model is given: it comes from elsewhere. */
const longestDescription = 4_000;
/** Bytes of one tool's schema: what is larger no model can use, and the tool is left out. */
const largestSchema = 64 * 1024;
/** Bytes of all schemas from elsewhere: they are stored with the reply that first uses them, whose payload has room for 2 MB. */
const largestCatalogue = 512 * 1024;

/** The connections of one worker to MCP servers, shared by its runs. */
export class McpPool {
  private readonly connections = new Map<McpServer, McpConnection>();

  /**
   * The agent with the tools of its servers, as they are for the run of that id. What is recorded of a definition changes with the catalogue, and
   * only then. Throws `McpUnavailable`, to be repeated, where a server cannot be reached.
   */
  async extend(registered: RegisteredAgent, run: string): Promise<RegisteredAgent> {
    const { mcpServers = [] } = registered.agent;
    if (mcpServers.length === 0) return registered;
    const added = (
      await Promise.all(mcpServers.map(async (server) => await this.toolsOf(server, run)))
    ).flat();
    const tools = new Map(registered.tools);
    const schemas: ToolSchema[] = [];
    let bytes = 0;
    // A tool of the agent's own goes before one of the same name from elsewhere, and the first of two others before the second: a provider
    // refuses every request that names one twice.
    for (const tool of added) {
      const { name } = tool.schema;
      const own = Buffer.byteLength(JSON.stringify(tool.schema));
      const fits = own <= largestSchema && bytes + own <= largestCatalogue;
      if (!fits || tools.has(name) || registered.routes.has(name)) continue;
      tools.set(name, tool);
      schemas.push(tool.schema);
      bytes += own;
    }
    const { surface, source } = registered;
    return {
      ...registered,
      tools,
      source: digestText(source, digestJson(schemas as unknown as Json)),
      surface: { ...surface, tools: [...surface.tools, ...schemas] },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.connections.values()].map(async (connection) => await connection.close()));
  }

  private async toolsOf(server: McpServer, run: string): Promise<RegisteredTool[]> {
    const connection = this.connections.get(server) ?? new McpConnection(server);
    this.connections.set(server, connection);
    const offered = await connection.tools(run);
    const wanted = offered.filter(
      ({ name }) =>
        server.tools?.[name] !== false && (server.only === undefined || server.only.includes(name)),
    );
    // Whatever order the server lists them in, the model is given the same request.
    wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
    return wanted.map((tool) => asTool(server, tool, connection));
  }
}

function asTool(server: McpServer, offered: OfferedTool, connection: McpConnection): RegisteredTool {
  const own = server.tools?.[offered.name];
  const options: McpToolOptions = { ...server.defaults, ...(own === false ? undefined : own) };
  const once = (options.effect ?? 'once') === 'once';
  const tool: AnyTool = {
    kind: 'tool',
    name: toolName(server.name, offered.name),
    description: (offered.description ?? offered.name).slice(0, longestDescription),
    // The server checks its arguments itself, and says what is wrong.
    input: z.looseObject({}),
    ...options,
    execute: async (input: Record<string, unknown>, { signal }: ToolContext) => {
      const call = connection.call(offered.name, input, signal);
      const { output, error } = await call.catch((thrown: unknown) => {
        // The server was not reached, so nothing has happened.
        throw once && isUnavailable(thrown) ? new NotDone((thrown as Error).message) : thrown;
      });
      if (error) throw new ToolError(typeof output === 'string' ? output : JSON.stringify(output));
      return output;
    },
  };
  const registered = registerTool(tool, () => undefined);
  const { schema } = registered;
  return { ...registered, schema: { ...schema, parameters: parametersOf(offered), strict: false } };
}

function isUnavailable(thrown: unknown): boolean {
  return (thrown as { type?: unknown } | null)?.type === 'McpUnavailable';
}

function parametersOf({ inputSchema }: OfferedTool): Json {
  const { $schema: _dialect, ...schema } = inputSchema as { [key: string]: Json };
  return { type: 'object', properties: {}, ...schema };
}

/** The name under which a model knows a tool: what the providers accept. */
function toolName(server: string, tool: string): string {
  return `${server}_${tool}`.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64);
}
