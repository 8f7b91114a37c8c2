import { existsSync } from 'node:fs';
import { loadClientConfigProfile, loadClientConnectConfig } from '@temporalio/envconfig';
import { z } from 'zod';
import { codecFromEnvironment, codecServerVariables, codecVariables } from '../codec/environment.ts';
import { nearest } from '../activities/nearest.ts';
import type { OpenAIProviderOptions } from '../activities/models/openai-provider.ts';
import { describeThrown } from '../protocol/failures.ts';
import { isRedisUrl } from '../live-text/redis-text.ts';
import { defaultTaskQueue } from './create-worker.ts';
import { limit, providerVariables, readProviders } from './provider-environment.ts';
import { documented, text, whole } from './variables.ts';

/**
 * Every variable that a worker process reads, besides Temporal's own and those of named providers. A new one is added here alone: its row in
 * docs/configuration.md is made by `scripts/configuration-table.ts`, and a test holds them equal.
 */
export const environmentSchema = z.object({
  CADENZA_AGENTS: documented(text('the module that exports your agents, such as ./dist/agents.js'), {
    description:
      "Module whose exports are the agents: a path from the working directory, or a package's name.",
  }),
  CADENZA_WORKFLOWS: documented(text('a file of workflows').optional(), {
    description: 'File whose exports are workflows that use the agents.',
    default: 'none',
  }),
  CADENZA_TASK_QUEUE: documented(text('the name of a task queue').default(defaultTaskQueue), {
    description: 'The task queue that the worker polls.',
  }),
  CADENZA_DRAIN_SECONDS: documented(whole(0, 86_400).optional(), {
    description:
      'Seconds a stopping worker waits for calls under way before it cancels them. Less than the longest model call of the agents is warned of.',
    default: 'the longest model or tool call of the agents, and 15',
  }),
  CADENZA_MEMORY_MB: documented(whole(512, 1_048_576).optional(), {
    description:
      'Megabytes that the process may take, resident. Cached workflows, conversations and calls under way are sized from it. See [operations](operations.md#memory).',
    default: "from `--max-old-space-size`, or 90 % of a container's limit, or 1024",
  }),
  CADENZA_TRANSCRIPT_CACHE_MB: documented(whole(0, 1_048_576).optional(), {
    description: 'Megabytes of conversations kept in memory; 0 keeps none.',
    default: 'a part of the memory',
  }),
  CADENZA_SLOTS: documented(z.enum(['fixed', 'resource-based']).default('fixed'), {
    description:
      "`fixed` has a number of calls under way at most; `resource-based` takes on as many as CPU and memory allow (Temporal's resource-based tuner).",
  }),
  CADENZA_ACTIVITY_SLOTS: documented(whole(1, 100_000).optional(), {
    description: 'Most calls of models and tools under way at the same time.',
    default: 'a part of the memory, at most 100; 1000 where resource-based',
  }),
  CADENZA_TARGET_CPU_PERCENT: documented(whole(1, 100).default(90), {
    description: "The machine's or container's CPU that resource-based slots may use.",
  }),
  CADENZA_TARGET_MEMORY_PERCENT: documented(whole(1, 100).default(80), {
    description: "The machine's or container's memory that resource-based slots may use.",
  }),
  CADENZA_HTTP_PORT: documented(whole(0, 65_535).optional(), {
    description:
      'Port of `/healthz`, `/readyz` and `/metrics`; 0 takes any free one. See [operations](operations.md#health).',
    default: 'no such endpoint',
  }),
  CADENZA_HTTP_HOST: documented(text('an address of this machine').default('127.0.0.1'), {
    description: 'Address that the endpoint listens at; `0.0.0.0` in a container.',
  }),
  CADENZA_APPROVALS_SECONDS: documented(whole(0, 86_400).default(60), {
    description:
      'Seconds between two looks at how many calls wait for a person, for `cadenza_approvals_waiting`; 0 never looks. Only with `CADENZA_HTTP_PORT`.',
  }),
  CADENZA_LOG_FORMAT: documented(z.enum(['text', 'json']).default('text'), {
    description: '`json` writes one JSON object a line, `text` is for people. Either goes to standard error.',
  }),
  CADENZA_LOG_LEVEL: documented(z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'), {
    description: 'The least level of what is logged. From `debug` on, words of failures are in it.',
  }),
  CADENZA_STORAGE: documented(text('a folder, or s3://bucket/prefix').optional(), {
    description:
      'Where payloads that are large are stored: a folder, or `s3://bucket/prefix?region=…&endpoint=…`.',
    default: 'in the histories',
  }),
  CADENZA_STORAGE_THRESHOLD_KB: documented(whole(0, 2_048).default(256), {
    description: 'Kilobytes from which on a payload is stored there.',
  }),
  CADENZA_ARCHIVE: documented(text('a folder, or s3://bucket/prefix').optional(), {
    description: "Where closed runs are kept beyond Temporal's retention: a folder, or `s3://bucket/prefix`.",
    default: 'nowhere',
  }),
  CADENZA_LIVE_TEXT_REDIS_URL: documented(
    z.string().refine(isRedisUrl, 'it must be of the form redis://host:6379 or rediss://…').optional(),
    {
      description:
        'A Redis through which [replies are seen while they are written](models.md#while-a-reply-is-written). Clients read it too.',
      default: 'the worker itself, for its own machine',
      secret: true,
    },
  ),
  OPENAI_API_KEY: documented(
    text('the key of the model provider (set OPENAI_API_KEY to any text for a server that asks for none)'),
    { description: "The default model provider's key.", secret: true },
  ),
  OPENAI_BASE_URL: documented(address().optional(), {
    description: 'Address of another provider that speaks the same protocols.',
    default: 'OpenAI',
  }),
  OPENAI_MODEL: documented(text("a model's name").default('gpt-5-mini'), {
    description: 'The model of agents that name none.',
  }),
  CADENZA_OPENAI_API: documented(z.enum(['chat', 'responses']).optional(), {
    description: 'How models of the default provider are asked: `responses` or `chat`.',
    default: '`responses` at OpenAI and Azure, `chat` elsewhere',
  }),
  CADENZA_OPENAI_REQUESTS_PER_MINUTE: documented(limit, {
    description:
      'Requests a minute that all workers together may make. See [limits](models.md#limits-of-a-provider).',
    default: 'none',
  }),
  CADENZA_OPENAI_TOKENS_PER_MINUTE: documented(limit, {
    description: 'Tokens a minute, in and out, likewise.',
    default: 'none',
  }),
  CADENZA_OPENAI_CONCURRENT: documented(limit, {
    description: 'Requests under way at the same time, likewise.',
    default: 'none',
  }),
  ...codecVariables,
  CADENZA_PROVIDERS: documented(
    z
      .string()
      .default('')
      .transform((names) =>
        names
          .split(',')
          .map((name) => name.trim())
          .filter(Boolean),
      ),
    {
      description:
        'Names of further providers, with commas. Each has variables of its own, such as `CADENZA_PROVIDER_LOCAL_BASE_URL` for `local`.',
      default: 'none',
    },
  ),
  CADENZA_BUILD_ID: documented(text('the id of this build').optional(), {
    description:
      "Turns Temporal's Worker Versioning on: the id of this build in the deployment that `CADENZA_DEPLOYMENT_NAME` names.",
    default: 'none, without versions',
  }),
  CADENZA_DEPLOYMENT_NAME: documented(text('the name of a worker deployment').default('cadenza'), {
    description: 'The worker deployment that the build is one of. Only with `CADENZA_BUILD_ID`.',
  }),
  CADENZA_VERSIONING: documented(z.enum(['PINNED', 'AUTO_UPGRADE']).default('PINNED'), {
    description:
      'What open runs do when there is a new build: `PINNED` stay on theirs, `AUTO_UPGRADE` go on with the new one. Only with `CADENZA_BUILD_ID`.',
  }),
});

/** Variables of the development server that `npm start`, `cadenza dev` and the tests bring up. A worker process does not read them. */
export const developmentSchema = z.object({
  CADENZA_TEMPORAL_CLI: documented(z.string().optional(), {
    description: "Path of a Temporal CLI that is not on the machine's PATH.",
    default: 'looked for, or installed',
  }),
  CADENZA_TEMPORAL_PORT: documented(z.string().optional(), {
    description: 'Port of a local Temporal server; 0 takes any free one.',
    default: '7233',
  }),
  CADENZA_CACHE_DIR: documented(z.string().optional(), {
    description: 'Folder that keeps a Temporal CLI once it was installed.',
    default: "the platform's place for such files",
  }),
  CADENZA_DATA_DIR: documented(z.string().optional(), {
    description: 'Folder in which a development server keeps its runs.',
    default: '`.cadenza`',
  }),
  CADENZA_DEVELOPMENT: documented(z.string().optional(), {
    description:
      'Set by `cadenza dev` for its worker, which then logs only what goes wrong and what tools log.',
    default: 'not set',
  }),
});

/** The checked settings of a worker process. */
export type WorkerEnvironment = z.infer<typeof environmentSchema> & {
  /** The named providers, by their names. */
  providers: Record<string, OpenAIProviderOptions>;
};

/** Reads the settings; throws a `TypeError` that lists everything wrong with them, without the value of any. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): WorkerEnvironment {
  const given = withoutEmpty(env);
  const parsed = environmentSchema.safeParse(given);
  const names = environmentSchema.shape.CADENZA_PROVIDERS.safeParse(given.CADENZA_PROVIDERS).data ?? [];
  const { providers, problems } = readProviders(names, given);
  const all = [
    ...(parsed.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`),
    ...problems,
    ...temporalProblems(given),
    ...codecProblems(given),
  ];
  if (parsed.success && all.length === 0) return { ...parsed.data, providers };
  throw new TypeError(
    `The worker cannot start with this environment:\n${all.map((problem) => `  - ${problem}`).join('\n')}`,
  );
}

/** What looks like a setting and is none, in words for a person: `CADENZA_AGENT is not known; did you mean CADENZA_AGENTS?` */
export function unknownVariables(env: NodeJS.ProcessEnv = process.env): string[] {
  const providers = environmentSchema.shape.CADENZA_PROVIDERS.safeParse(env.CADENZA_PROVIDERS).data ?? [];
  const known = [
    ...Object.keys(environmentSchema.shape),
    ...Object.keys(developmentSchema.shape),
    ...codecServerVariables,
    ...providers.flatMap(providerVariables),
  ];
  return Object.keys(env)
    .filter((name) => name.startsWith('CADENZA_') && !known.includes(name))
    .map((name) => {
      const near = nearest(name, known);
      if (near !== undefined) return `${name} is not known; did you mean ${near}?`;
      const provider = name.startsWith('CADENZA_PROVIDER_');
      return `${name} is not known${provider ? '; CADENZA_PROVIDERS does not name its provider, or has no such variable' : ''}`;
    });
}

/** An empty text is how compose files and charts leave a variable out. */
function withoutEmpty(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
    ),
  );
}

/** What is wrong with the connection to Temporal, as far as it can be told without trying it. */
function temporalProblems(env: Record<string, string>): string[] {
  const { TEMPORAL_CONFIG_FILE: file } = env;
  if (file !== undefined && !existsSync(file)) return ['TEMPORAL_CONFIG_FILE: there is no such file'];
  try {
    const { tls } = loadClientConfigProfile({ overrideEnvVars: env });
    if (!tls?.clientCert !== !tls?.clientKey) {
      return [
        'TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH (or …_DATA) belong together: one of the two is missing',
      ];
    }
    loadClientConnectConfig({ overrideEnvVars: env });
    return [];
  } catch (thrown) {
    // What follows the first line quotes the file, and there may be a key in it.
    const [why] = describeThrown(thrown).split('\n');
    return [`TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE or TEMPORAL_TLS_…: ${why}`];
  }
}

/** What is wrong with the keys, as a whole; what is wrong with one variable is said already. */
function codecProblems(env: Record<string, string>): string[] {
  if (!z.object(codecVariables).safeParse(env).success) return [];
  try {
    codecFromEnvironment(env);
    return [];
  } catch (thrown) {
    return [describeThrown(thrown)];
  }
}

function address() {
  return z.url({ protocol: /^https?$/, error: 'set it to an address, such as http://127.0.0.1:11434/v1' });
}
