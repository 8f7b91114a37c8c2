import { randomUUID } from 'node:crypto';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Command } from 'commander';
import type { CadenzaClient } from '../client/client.ts';
import { isNotFound } from '../transcript/history-events.ts';
import type { On } from './on-client.ts';
import { exitCodes, plain, printJson, printLine, UsageError } from './terminal.ts';

interface SteeringOptions {
  now?: boolean;
  reason?: string;
  messageId: string;
  by: string;
  json?: boolean;
}

/** The commands by which people steer a run: each says in a line what it has asked of the run. */
export function addSteering(program: Command, on: On, me: string): void {
  const steer = (name: string, description: string, work: Steering) =>
    program
      .command(name)
      .description(description)
      .argument('<id>')
      .option('--by <name>', 'who asks', me)
      .option('--json', 'print one JSON object')
      .action(
        on(async (client, id: string, options: SteeringOptions) => {
          await told(client, id, name, options, async () => await work(client, id, options));
          return exitCodes.ok;
        }),
      );
  steer('pause', 'let a run and those below it begin nothing new', async (client, id, options) => {
    await client.get(id).pause(options);
    const way = options.now ? ' and cuts off what is under way' : '';
    return `${id} pauses: it begins nothing new${way}, nor do the runs below it; "cadenza resume ${id}" lets it go on`;
  }).option('--now', 'cut off what is under way, and do it again afterwards');
  steer('resume', 'let a paused run go on', async (client, id, options) => {
    await client.get(id).resume(options);
    return `${id} goes on`;
  });
  steer('cancel', 'end a run and those below it', async (client, id, options) => {
    // The server takes such a request for a run that has ended, and says nothing.
    const { state } = await client.get(id).status();
    if (state !== 'RUNNING') throw new WorkflowNotFoundError('it has ended', id, undefined);
    await client.get(id).cancel(options);
    return `${id} is asked to end, with the runs below it; "cadenza watch ${id}" shows it`;
  }).option('--reason <text>');
  program
    .command('message')
    .description('say something to a run; the model sees it at its next turn')
    .argument('<id>')
    .argument('<text>')
    .option('--message-id <id>', 'sent again under the same id it counts once', randomUUID())
    .option('--json', 'print one JSON object')
    .action(
      on(async (client, id: string, text: string, options: SteeringOptions) => {
        await told(client, id, 'message', options, async () => {
          await client.get(id).message(text, { id: options.messageId });
          return `${id} has the message: the model sees it at its next turn`;
        });
        return exitCodes.ok;
      }),
    );
}

type Steering = (client: CadenzaClient, id: string, options: SteeringOptions) => Promise<string>;

/** Does what was asked, and says so, or what keeps it from being done. */
async function told(
  client: CadenzaClient,
  id: string,
  request: string,
  { json, messageId }: SteeringOptions,
  work: () => Promise<string>,
): Promise<void> {
  try {
    const line = await work();
    if (json) printJson({ workflowId: id, request, ...(messageId !== undefined && { messageId }) });
    else printLine(plain(line));
  } catch (thrown) {
    if (!(thrown instanceof WorkflowNotFoundError) && !isNotFound(thrown)) throw thrown;
    const { state } = await client.get(id).status();
    throw new UsageError(
      `the run "${id}" has ended (${state.toLowerCase()}): only an open run takes "${request}". "cadenza show ${id}" shows it, and "cadenza fork ${id} --message …" goes on from where it ended`,
    );
  }
}
