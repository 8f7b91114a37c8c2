import { existsSync } from 'node:fs';
import { loadClientConfigProfile, loadClientConnectConfig } from '@temporalio/envconfig';
import leven from 'leven';
import { z } from 'zod';
import type { OpenAIProviderOptions } from '../activities/models/openai-provider.ts';
import { describeThrown } from '../failures.ts';
import { defaultTaskQueue } from './create-worker.ts';
import { providerVariables, readProviders } from './provider-environment.ts';
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
  CADENZA_DRAIN_SECONDS: documented(whole(0, 86_400).default(600), {
    description: 'Seconds a stopping worker waits for calls under way before it cancels them.',
  }),
  CADENZA_TRANSCRIPT_CACHE_MB: documented(whole(0, 1_048_576).default(64), {
    description: 'Megabytes of conversations kept in memory; 0 keeps none.',
  }),
  CADENZA_DEPLOYMENT_NAME: documented(text('the name of a worker deployment').optional(), {
    description: "Worker Versioning: the deployment's name, with `CADENZA_BUILD_ID`.",
    default: 'no versioning',
  }),
  CADENZA_BUILD_ID: documented(text('an id of this build, such as a commit').optional(), {
    description: 'Worker Versioning: which build of the deployment this is.',
    default: 'no versioning',
  }),
  CADENZA_VERSIONING: documented(z.enum(['pinned', 'auto-upgrade']).default('pinned'), {
    description: 'Whether runs stay on the build that they began on, or go on with the current one.',
  }),
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
    ...providers.flatMap(providerVariables),
  ];
  return Object.keys(env)
    .filter((name) => name.startsWith('CADENZA_') && !known.includes(name))
    .map((name) => {
      const [near] = known
        .map((other) => ({ other, far: leven(name, other) }))
        // More than a few letters apart it is another word.
        .filter(({ far }) => far <= 3)
        .toSorted((a, b) => a.far - b.far);
      if (near) return `${name} is not known; did you mean ${near.other}?`;
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

function address() {
  return z.url({ protocol: /^https?$/, error: 'set it to an address, such as http://127.0.0.1:11434/v1' });
}
