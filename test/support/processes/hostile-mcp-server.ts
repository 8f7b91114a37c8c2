/** A server of tools that says on standard output whatever its first argument, a file of JSON, has for it. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

interface Script {
  /** The catalogue's tools, as they are. */
  tools?: unknown;
  /** Lines before each answer that are no part of the protocol. */
  noise?: string[];
  /** What a call comes to, as it is. */
  result?: unknown;
  /** Never answers when it is asked for its tools. */
  silent?: boolean;
}

const script = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Script;

function answer(method: string): unknown {
  if (method === 'initialize')
    return {
      protocolVersion: '2025-06-18',
      capabilities: { tools: { listChanged: true } },
      serverInfo: { name: 'hostile', version: '1' },
    };
  if (method === 'tools/list') return { tools: script.tools ?? [] };
  return script.result ?? { content: [{ type: 'text', text: 'done' }] };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method } = JSON.parse(line) as { id?: number; method: string };
  if (id === undefined || (script.silent && method === 'tools/list')) continue;
  for (const noise of script.noise ?? []) process.stdout.write(`${noise}\n`);
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result: answer(method) })}\n`);
}
