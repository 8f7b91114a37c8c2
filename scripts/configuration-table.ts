/**
 * Writes the tables of docs/configuration.md anew from the schemas of src/worker:
 * `node --conditions=cadenza-source scripts/configuration-table.ts`
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { developmentSchema, environmentSchema } from '../src/worker/environment.ts';
import { providerSchema } from '../src/worker/provider-environment.ts';
import { factsOf } from '../src/worker/variables.ts';

const page = fileURLToPath(new URL('../docs/configuration.md', import.meta.url));

function table(schema: z.ZodObject<Record<string, z.ZodType>>, prefix = ''): string {
  const rows = Object.entries(schema.shape).map(([name, variable]) => {
    const { description, required, default: value, secret } = factsOf(variable);
    return `| \`${prefix}${name}\` | ${description} | ${required ? '**required**' : (value ?? 'none')} | ${secret ? 'secret' : ''} |`;
  });
  return ['| variable | meaning | default | |', '|---|---|---|---|', ...rows].join('\n');
}

const tables: Record<string, string> = {
  worker: table(environmentSchema),
  providers: table(providerSchema, 'CADENZA_PROVIDER_<NAME>_'),
  development: table(developmentSchema),
};

/** The page with every table between its marks as the schemas have it. */
export function withTables(text: string): string {
  let result = text;
  for (const [name, rows] of Object.entries(tables)) {
    const [begin, end] = [
      `<!-- ${name}: made by scripts/configuration-table.ts -->`,
      `<!-- end of ${name} -->`,
    ];
    const [before, after] = [result.indexOf(begin), result.indexOf(end)];
    if (before < 0 || after < before) throw new Error(`docs/configuration.md has no place for ${name}`);
    result = `${result.slice(0, before + begin.length)}\n${rows}\n${result.slice(after)}`;
  }
  return result;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(page, withTables(readFileSync(page, 'utf8')));
}
