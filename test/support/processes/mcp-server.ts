/**
 * A server of tools that dies and changes its tools on demand; how often it was started stands in a file, and in another one beside it how often
 * it was asked for its tools.
 */
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const [, , starts = ''] = process.argv;
appendFileSync(starts, `${process.pid} ${process.env.TEST_SECRET === undefined ? 'without' : 'with'}\n`);

const server = new McpServer({ name: 'fragile', version: '1.0.0' });
const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] });

server.registerTool('die', { description: 'Dies.', inputSchema: { times: z.number() } }, ({ times }) => {
  // In the middle of the call, as often as it is told to.
  const before = process.env.TEST_DEATHS === undefined ? 0 : Number(process.env.TEST_DEATHS);
  if (times > before) process.exit(1);
  return text('alive');
});
server.registerTool('grow', { description: 'Grows another tool.' }, () => {
  server.registerTool('grown', { description: 'Is new.' }, () => text('new'));
  return text('grown');
});
const fleeting = server.registerTool('fleeting', { description: 'Goes away.' }, () => text('still there'));
server.registerTool('shrink', { description: 'Takes a tool away.' }, () => {
  fleeting.remove();
  return text('gone');
});
// Each request is a line, which the server reads as well.
createInterface({ input: process.stdin }).on('line', (line) => {
  if ((JSON.parse(line) as { method?: string }).method === 'tools/list')
    appendFileSync(`${starts}.lists`, `${process.pid}\n`);
});
await server.connect(new StdioServerTransport());
