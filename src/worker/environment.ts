import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import type { OpenAIProviderOptions } from '../activities/models/openai-provider.ts';
import { describeThrown } from '../failures.ts';
import { isRedisUrl } from '../redis-text.ts';
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
  /** A Redis through which the text of replies can be watched while it is written. Default: the worker's own server, on its machine alone. */
  CADENZA_LIVE_TEXT_REDIS_URL: z
    .string()
    .refine(isRedisUrl, 'it must be of the form redis://host:6379 or rediss://…')
    .optional(),
  /** How the models of `OPENAI_BASE_URL` are asked. Default: `responses` at OpenAI and Azure, `chat` elsewhere. */
  CADENZA_OPENAI_API: z.enum(['chat', 'responses']).optional(),
  /** Names of further providers, with commas. Each has variables of its own, such as CADENZA_PROVIDER_LOCAL_BASE_URL for `local`. */
  CADENZA_PROVIDERS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean),
    ),
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

const providerSchema = z.object({
  BASE_URL: z.url({
    error: 'set it to the address of the OpenAI-compatible API, such as http://127.0.0.1:11434/v1',
  }),
  /** Servers of one's own mostly ask for none. */
  API_KEY: z.string().min(1).default('none'),
  MODEL: z.string().min(1).optional(),
  API: z.enum(['chat', 'responses']).optional(),
  HEADERS: z
    .string()
    .transform((text, context) => {
      try {
        return z.record(z.string(), z.string()).parse(JSON.parse(text));
      } catch {
        context.addIssue({ code: 'custom', message: 'it must be a JSON object of texts' });
        return z.NEVER;
      }
    })
    .optional(),
});

/**
 * The further providers that the environment names: `CADENZA_PROVIDERS=local` and `CADENZA_PROVIDER_LOCAL_BASE_URL`, `…_API_KEY`, `…_MODEL`,
 * `…_API` and `…_HEADERS`. Throws a `TypeError` that lists every variable that is wrong, without its value.
 */
export function readProviders(
  names: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Record<string, OpenAIProviderOptions> {
  const problems: string[] = [];
  const providers: Record<string, OpenAIProviderOptions> = {};
  for (const name of names) {
    const prefix = `CADENZA_PROVIDER_${name.toUpperCase().replaceAll('-', '_')}_`;
    const values = Object.keys(providerSchema.shape).map((key) => [key, env[prefix + key] || undefined]);
    const parsed = providerSchema.safeParse(Object.fromEntries(values));
    if (!parsed.success) {
      problems.push(
        ...parsed.error.issues.map((issue) => `  - ${prefix}${issue.path[0] as string}: ${issue.message}`),
      );
      continue;
    }
    const { BASE_URL: baseURL, API_KEY: apiKey, MODEL: model, API: api, HEADERS: headers } = parsed.data;
    providers[name] = {
      baseURL,
      apiKey,
      // The worker's own variables are those of the default provider.
      model: model ?? '',
      ...(api && { api }),
      ...(headers && { headers }),
    };
  }
  if (problems.length > 0)
    throw new TypeError(`The worker cannot start with these model providers:\n${problems.join('\n')}`);
  return providers;
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
