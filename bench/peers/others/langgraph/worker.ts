import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { HumanMessage, SystemMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres';
import { ToolNode, toolsCondition } from '@langchain/langgraph/prebuilt';
import { ChatOpenAI } from '@langchain/openai';
import pg from 'pg';
import { z } from 'zod';
import { instructions, pageTool } from '../../../history/book.ts';
import { readRecorded, type PeerWorker } from '../peer-worker.ts';
import type { PeerPlace } from '../../peer-place.ts';

/** Bytes of a run's rows before PostgreSQL compresses them, as those of a history are. */
async function storedBytes(database: string, id: string): Promise<number> {
  const client = new pg.Client(database);
  await client.connect();
  try {
    const { rows } = await client.query<{ bytes: string }>(
      `select (select coalesce(sum(length(checkpoint::text) + length(metadata::text)), 0) from checkpoints where thread_id = $1)
        + (select coalesce(sum(octet_length(blob)), 0) from checkpoint_blobs where thread_id = $1)
        + (select coalesce(sum(octet_length(blob)), 0) from checkpoint_writes where thread_id = $1) as bytes`,
      [id],
    );
    return Number(rows[0]?.bytes);
  } finally {
    await client.end();
  }
}

/**
 * The agent as a graph of two nodes with a checkpoint in PostgreSQL after each, behind HTTP: `POST /run {id, task}` runs it, and
 * `POST /run {id}` goes on from its last checkpoint, which nothing does by itself after a crash. `POST /bytes {id}` says what is stored.
 */
export async function createContender({ baseURL, database = '', ledger }: PeerPlace): Promise<PeerWorker> {
  const checkpointer = PostgresSaver.fromConnString(database);
  await checkpointer.setup();
  const readPage = tool(async (request) => readRecorded(ledger, request), {
    ...pageTool,
    schema: z.object({ page: z.number().int(), bytes: z.number().int() }),
  });
  const model = new ChatOpenAI({
    model: 'test-model',
    apiKey: 'none',
    configuration: { baseURL },
  }).bindTools([readPage]);
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('agent', async ({ messages }) => ({
      messages: [await model.invoke([new SystemMessage(instructions), ...messages])],
    }))
    .addNode('tools', new ToolNode([readPage]))
    .addEdge(START, 'agent')
    .addConditionalEdges('agent', toolsCondition, ['tools', END])
    .addEdge('tools', 'agent')
    .compile({ checkpointer });
  const server = createServer((request, response) => {
    const answer = async (): Promise<unknown> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { id, task } = JSON.parse(Buffer.concat(chunks).toString()) as { id: string; task?: string };
      if (request.url === '/bytes') return await storedBytes(database, id);
      const input = task === undefined ? null : { messages: [new HumanMessage(task)] };
      const config = { configurable: { thread_id: id }, recursionLimit: 2_000 };
      const { messages } = await graph.invoke(input, config);
      return String(messages.at(-1)?.content);
    };
    answer().then(
      (text) => response.end(JSON.stringify({ answer: text })),
      (thrown: unknown) => response.writeHead(500).end(JSON.stringify({ error: String(thrown) })),
    );
  });
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await checkpointer.end();
    },
  };
}
