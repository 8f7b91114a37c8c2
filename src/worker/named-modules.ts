import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describeThrown } from '../protocol/failures.ts';

/** Imports a module named by the environment. Throws an `Error` that names the variable. */
export async function importNamed(variable: string, name: string): Promise<Record<string, unknown>> {
  const isPath = name.startsWith('.') || isAbsolute(name);
  try {
    return (await import(isPath ? pathToFileURL(resolve(name)).href : name)) as Record<string, unknown>;
  } catch (thrown) {
    throw new Error(`${variable}=${name} could not be loaded: ${describeThrown(thrown)}`, { cause: thrown });
  }
}

/** The file that `CADENZA_WORKFLOWS` names, with or without its ending. Throws an `Error` that names the variable. */
export function workflowsFile(name: string): string {
  const path = resolve(name);
  if (['', '.ts', '.js'].some((ending) => existsSync(path + ending))) return path;
  throw new Error(`CADENZA_WORKFLOWS=${name}: there is no such file (${path})`);
}
