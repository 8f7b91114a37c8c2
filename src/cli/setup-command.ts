import type { Command } from 'commander';
import type { CadenzaClient } from '../client/client.ts';
import { describeThrown } from '../protocol/failures.ts';
import { indexedTypes, missingAttributes, searchAttributes } from '../visibility/search-attributes.ts';
import type { On } from './on-client.ts';
import { exitCodes, printJson, printLine, UsageError, warn } from './terminal.ts';

type Name = keyof typeof searchAttributes;

/** Codes of gRPC's by which a server says that this is not for whoever asks, or not to be had. */
const refusals: Readonly<Record<number, string>> = {
  7: 'this identity may not do it',
  12: 'the server does not offer it',
  16: 'this identity is not known',
};

/** Milliseconds until a new attribute can be asked for: servers with several hosts tell each other within a minute. */
const settledWithinMs = 90_000;

/** The command that prepares a namespace. */
export function addSetup(program: Command, on: On): void {
  program
    .command('setup')
    .description('register the search attributes by which runs are found; doing it again changes nothing')
    .option('--check', 'only say what is missing; exit code 1 where something is')
    .option('--json', 'print one JSON object')
    .action(on(async (client, options: { check?: boolean; json?: boolean }) => await setup(client, options)));
}

/** Registers what runs are found by. Doing it again changes nothing; with `check` it only says what is missing. */
async function setup(
  client: CadenzaClient,
  { check = false, json = false }: { check?: boolean; json?: boolean },
): Promise<number> {
  const { missing, different } = await look(client);
  const { namespace } = client.temporal.options;
  if (different.length > 0) {
    throw new UsageError(
      `the namespace "${namespace}" has ${different.map(typed).join(', ')} under another type; remove ${different.length > 1 ? 'them' : 'it'} with "temporal operator search-attribute remove", or leave it: runs work without`,
    );
  }
  const added = check ? [] : missing;
  if (added.length > 0) await add(client, added);
  if (json) printJson({ namespace, missing: check ? missing : [], added });
  else if (missing.length === 0) printLine(`The namespace "${namespace}" has all search attributes.`);
  else if (check)
    warn(`The namespace "${namespace}" lacks ${missing.map(typed).join(', ')}; "cadenza setup" adds them.`);
  else {
    printLine(`Added to the namespace "${namespace}": ${added.map(typed).join(', ')}.`);
    printLine('Workers that are up notice within 5 minutes, and runs use them from their first reply on.');
  }
  return check && missing.length > 0 ? exitCodes.failed : exitCodes.ok;
}

/** Whether runs of this namespace can be found by what they do. Where nobody may look, they cannot. */
export async function hasSearchAttributes(client: CadenzaClient): Promise<boolean> {
  try {
    const { missing, different } = await look(client);
    return missing.length + different.length === 0;
  } catch {
    return false;
  }
}

async function look(client: CadenzaClient): Promise<ReturnType<typeof missingAttributes>> {
  const { connection, options } = client.temporal;
  const { namespace } = options;
  const { customAttributes } = await asked(
    'looked at',
    connection.operatorService.listSearchAttributes({ namespace }),
  );
  return missingAttributes(customAttributes ?? {});
}

async function add(client: CadenzaClient, names: readonly Name[]): Promise<void> {
  const { connection, options } = client.temporal;
  const { namespace } = options;
  const types = Object.fromEntries(names.map((name) => [name, indexedTypes[searchAttributes[name]]]));
  await asked(
    'added',
    connection.operatorService.addSearchAttributes({ namespace, searchAttributes: types }),
  );
  // A run that uses an attribute before the whole server knows it would wait for it.
  const until = Date.now() + settledWithinMs;
  const query = names.map((name) => `${name} IS NOT NULL`).join(' AND ');
  for (;;) {
    try {
      await connection.workflowService.countWorkflowExecutions({ namespace, query });
      return;
    } catch (thrown) {
      if (Date.now() > until) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function asked<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (thrown) {
    const why = refusals[(thrown as { code?: number }).code ?? -1];
    if (why === undefined) throw thrown;
    const options = (Object.keys(searchAttributes) as Name[]).map(
      (name) => `--name ${name} --type ${typeName(name)}`,
    );
    throw new UsageError(
      `the search attributes could not be ${what}: ${why} (${describeThrown(thrown)}). Have an administrator run "cadenza setup", or "temporal operator search-attribute create ${options.join(' ')}"; on Temporal Cloud they are added in the namespace's settings. Runs work without them`,
    );
  }
}

function typed(name: Name): string {
  return `${name} (${typeName(name)})`;
}

function typeName(name: Name): string {
  const type = searchAttributes[name];
  return type.charAt(0) + type.slice(1).toLowerCase();
}
