/** Asks the support desk: `client.ts "Where is my order A-1042?"`. A worker must be running, here or elsewhere. */
import { fileURLToPath } from 'node:url';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { supportDesk } from './agents.ts';

/** Where the workers of this example listen. */
export const taskQueue = 'support-desk';

/** Starts a run for a customer's message, shows with `onTool` what it looks up, and returns the answer. */
export async function ask(
  client: CadenzaClient,
  message: string,
  onTool: (line: string) => void,
): Promise<string> {
  const run = await client.start(supportDesk, message, { taskQueue });
  for await (const event of run.events()) {
    if (event.type === 'tool-started') onTool(`${event.tool} ${JSON.stringify(event.input)}`);
  }
  const { output } = await run.result();
  return output;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const message = process.argv[2];
  if (!message) {
    process.stderr.write('Ask something: client.ts "Where is my order A-1042?"\n');
    process.exit(2);
  }
  const client = await createClient().catch((thrown: Error) => {
    process.stderr.write(
      `No Temporal server can be reached (${thrown.message}). Start the desk first: main.ts\n`,
    );
    process.exit(1);
  });
  const patience = setTimeout(
    () => process.stderr.write('No answer yet. Is the desk running? (main.ts, or worker.ts)\n'),
    10_000,
  );
  process.stdout.write(`\n${await ask(client, message, (line) => process.stderr.write(`  ${line}\n`))}\n`);
  clearTimeout(patience);
  await client.close();
}
