/**
 * Asks the support desk: `client.ts "Where is my order A-1042?"`, and goes on in the same conversation with its id behind the message. A
 * worker must be running, here or elsewhere.
 */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createClient, type CadenzaClient, type RunEvent } from 'cadenza/client';
import { triage } from './agents.ts';
import { followConversation } from './follow-conversation.ts';

/** Where the workers of this example listen. */
export const taskQueue = 'support-desk';

/** Says something in a conversation, shows with `onEvent` what the agents do about it, and returns the answer. */
export async function ask(
  client: CadenzaClient,
  message: string,
  onEvent: (line: string) => void,
  conversation = `desk-${randomUUID().slice(0, 8)}`,
): Promise<string> {
  const { messageId, reply } = await client.send(triage, conversation, message, {
    idleTimeout: '1 day',
  });
  const answered = new AbortController();
  const showing = show(client, conversation, messageId, { onEvent, signal: answered.signal });
  try {
    const { output } = await Promise.race([reply(), showing]);
    return typeof output === 'string' ? output : JSON.stringify(output);
  } finally {
    answered.abort();
  }
}

/** Shows what happens from a message on. It ends with the signal, and otherwise only by failing. */
async function show(
  client: CadenzaClient,
  conversation: string,
  messageId: string,
  { onEvent, signal }: { onEvent: (line: string) => void; signal: AbortSignal },
): Promise<never> {
  let isNew = false;
  for await (const { event, workflowId } of followConversation(client, conversation, { signal })) {
    isNew ||= event.type === 'message' && event.id === messageId;
    const line = isNew ? describe(event, workflowId) : undefined;
    if (line !== undefined) onEvent(line);
  }
  return await new Promise<never>(() => undefined);
}

function describe(event: RunEvent, workflowId: string): string | undefined {
  switch (event.type) {
    case 'agent-started':
      return `handed over to ${event.agent}`;
    case 'tool-started':
      return `${event.tool} ${JSON.stringify(event.input)}`;
    case 'waiting':
      return `${event.tool} waits for a person: approve ${workflowId}#${event.call} on the page, or with the command cadenza`;
    case 'decided':
      return `${event.verdict} by ${event.by ?? 'somebody'}`;
    default:
      return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [message, conversation = `desk-${randomUUID().slice(0, 8)}`] = process.argv.slice(2);
  if (!message) {
    process.stderr.write('Ask something: client.ts "Where is my order A-1042?" [conversation]\n');
    process.exit(2);
  }
  const client = await createClient({ taskQueue }).catch((thrown: Error) => {
    process.stderr.write(
      `No Temporal server can be reached (${thrown.message}). Start the desk first: main.ts\n`,
    );
    process.exit(1);
  });
  const patience = setTimeout(
    () => process.stderr.write('No answer yet. Is the desk running? (main.ts, or worker.ts)\n'),
    10_000,
  );
  const showEvent = (line: string) => {
    clearTimeout(patience);
    process.stderr.write(`  ${line}\n`);
  };
  const answer = await ask(client, message, showEvent, conversation);
  process.stdout.write(`\n${answer}\n\nConversation ${conversation}\n`);
  clearTimeout(patience);
  await client.close();
}
