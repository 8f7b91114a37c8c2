import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { describeThrown } from '../failures.ts';
import { defaultTaskQueue } from './create-worker.ts';

/** What a worker process reads from its environment, besides Temporal's and the model provider's own variables. */
const environmentSchema = z.object({
  /** Module whose exports are the agents: a path from the working directory, or a package's name. */
  CADENZA_AGENTS: z
    .string({ error: 'set it to the module that exports your agents, such as ./dist/agents.js' })
    .min(1),
  /** Module whose exports are workflows that use the agents. Default: none. */
  CADENZA_WORKFLOWS: z.string().min(1).optional(),
  CADENZA_TASK_QUEUE: z.string().min(1).default(defaultTaskQueue),
  /** Seconds a stopping worker waits for calls under way before it cancels them. */
  CADENZA_DRAIN_SECONDS: z.coerce.number().int().min(0).max(86_400).default(600),
  /** Megabytes of conversations kept in memory. */
  CADENZA_TRANSCRIPT_CACHE_MB: z.coerce.number().int().min(0).default(64),
});

/** The checked settings of a worker process. */
export type WorkerEnvironment = z.infer<typeof environmentSchema>;

/** Reads the settings; throws a `TypeError` that lists every variable that is wrong. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): WorkerEnvironment {
  const parsed = environmentSchema.safeParse(env);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `  - ${issue.path.join('.')}: ${issue.message}`);
  throw new TypeError(`The worker cannot start with this environment:\n${problems.join('\n')}`);
}

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
