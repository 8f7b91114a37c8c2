import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** A service of the compose file, as far as tests look at it. */
export interface ComposeService {
  image?: string;
  environment?: Record<string, string>;
  entrypoint?: string[];
  profiles?: string[];
  ports?: string[];
  volumes?: string[];
}

/** The services of docker-compose.yml as a shell without variables of its own sees them. */
export function composeServices(): Record<string, ComposeService> {
  const text = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8');
  const { services } = parse(text, { merge: true }) as { services: Record<string, ComposeService> };
  return resolved(services) as Record<string, ComposeService>;
}

/** Puts the defaults in the place of `${NAME:-default}`, and nothing in the place of `${NAME:+…}`. */
function resolved(value: unknown): unknown {
  if (typeof value === 'string') return withDefaults(value);
  if (Array.isArray(value)) return value.map(resolved);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each)]));
}

function withDefaults(text: string): string {
  const inner = text.replaceAll(/\$\{\w+:([-+])([^${}]*)\}/g, (_whole, how, word: string) =>
    how === '-' ? word : '',
  );
  return inner === text ? text.replaceAll('$$', '$') : withDefaults(inner);
}
