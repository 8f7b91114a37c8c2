import { z } from 'zod';
import type { OpenAIProviderOptions } from '../activities/models/openai-provider.ts';
import type { ProviderLimits } from '../protocol/provider-limits.ts';
import { documented, text, whole } from './variables.ts';

/** Of a provider's limits. */
export const limit = whole(1, 1_000_000_000).optional();

/** The variables of one named provider, without `CADENZA_PROVIDER_` and its name. */
export const providerSchema = z.object({
  BASE_URL: documented(
    z.url({
      error: 'set it to the address of the OpenAI-compatible API, such as http://127.0.0.1:11434/v1',
    }),
    { description: 'Address of the OpenAI-compatible API.' },
  ),
  API_KEY: documented(text('a key').default('none'), {
    description: 'Its key. Servers of your own mostly ask for none.',
    secret: true,
  }),
  MODEL: documented(text("a model's name").optional(), {
    description: 'The model of agents that name the provider alone (`local:`).',
    default: 'none',
  }),
  API: documented(z.enum(['chat', 'responses']).optional(), {
    description: 'How its models are asked: `responses` or `chat`.',
    default: '`responses` at OpenAI and Azure, `chat` elsewhere',
  }),
  HEADERS: documented(
    z
      .string()
      .transform((given, context) => {
        try {
          return z.record(z.string(), z.string()).parse(JSON.parse(given));
        } catch {
          context.addIssue({ code: 'custom', message: 'it must be a JSON object of texts' });
          return z.NEVER;
        }
      })
      .optional(),
    { description: 'A JSON object of headers that go with every request.', default: 'none', secret: true },
  ),
  REQUESTS_PER_MINUTE: documented(limit, {
    description:
      'Requests a minute that all workers together may make. See [limits](models.md#limits-of-a-provider).',
    default: 'none',
  }),
  TOKENS_PER_MINUTE: documented(limit, {
    description: 'Tokens a minute, in and out, likewise.',
    default: 'none',
  }),
  CONCURRENT: documented(limit, {
    description: 'Requests under way at the same time, likewise.',
    default: 'none',
  }),
});

/** The limits that the environment gives a provider, under the names that follow its prefix. */
export function limitsOf(given: {
  REQUESTS_PER_MINUTE?: number | undefined;
  TOKENS_PER_MINUTE?: number | undefined;
  CONCURRENT?: number | undefined;
}): { limits?: ProviderLimits } {
  const {
    REQUESTS_PER_MINUTE: requestsPerMinute,
    TOKENS_PER_MINUTE: tokensPerMinute,
    CONCURRENT: concurrent,
  } = given;
  const limits = {
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(concurrent !== undefined && { concurrent }),
  };
  return Object.keys(limits).length > 0 ? { limits } : {};
}

function prefixOf(name: string): string {
  return `CADENZA_PROVIDER_${name.toUpperCase().replaceAll('-', '_')}_`;
}

/** The names of all variables that a provider of this name may have. */
export function providerVariables(name: string): string[] {
  return Object.keys(providerSchema.shape).map((key) => prefixOf(name) + key);
}

/**
 * The further providers that the environment names: `CADENZA_PROVIDERS=local` and `CADENZA_PROVIDER_LOCAL_BASE_URL`, `…_API_KEY`, `…_MODEL`,
 * `…_API`, `…_HEADERS` and limits; and everything that is wrong with them, without a value.
 */
export function readProviders(
  names: readonly string[],
  env: NodeJS.ProcessEnv,
): { providers: Record<string, OpenAIProviderOptions>; problems: string[] } {
  const problems: string[] = [];
  const providers: Record<string, OpenAIProviderOptions> = {};
  for (const name of names) {
    const prefix = prefixOf(name);
    const values = Object.keys(providerSchema.shape).map((key) => [key, env[prefix + key] || undefined]);
    const parsed = providerSchema.safeParse(Object.fromEntries(values));
    if (!parsed.success) {
      problems.push(
        ...parsed.error.issues.map((issue) => `${prefix}${issue.path[0] as string}: ${issue.message}`),
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
      ...limitsOf(parsed.data),
    };
  }
  return { providers, problems };
}
