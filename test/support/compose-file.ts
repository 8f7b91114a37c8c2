import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** A service of the compose file, as far as tests look at it. */
export interface ComposeService {
  image?: string;
  environment?: Record<string, string>;
  entrypoint?: string[];
  command?: string[];
  stop_grace_period?: string;
  profiles?: string[];
  ports?: string[];
  volumes?: string[];
}

/** The services of docker-compose.yml as a shell with these variables sees them. */
export function composeServices(env: Record<string, string> = {}): Record<string, ComposeService> {
  const text = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8');
  const { services } = parse(text, { merge: true }) as { services: Record<string, ComposeService> };
  return resolved(services, env) as Record<string, ComposeService>;
}

function resolved(value: unknown, env: Record<string, string>): unknown {
  if (typeof value === 'string') return interpolated(value, env);
  if (Array.isArray(value)) return value.map((each) => resolved(each, env));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each, env)]));
}

/** Resolves `${NAME:-default}` and `${NAME:+replacement}`, the innermost first. */
function interpolated(text: string, env: Record<string, string>): string {
  const inner = text.replaceAll(
    /\$\{(\w+):([-+])([^${}]*)\}/g,
    (_whole, name: string, how: string, word: string) =>
      how === '-' ? env[name] || word : env[name] ? word : '',
  );
  return inner === text ? text.replaceAll('$$', '$') : interpolated(inner, env);
}
