import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The file of a module of this package, as the source or the build of it that runs: `name` has no ending and is seen from the module at `from`. */
export function modulePath(name: string, from: string): string {
  const source = fileURLToPath(new URL(`${name}.ts`, from));
  return existsSync(source) ? source : fileURLToPath(new URL(`${name}.js`, from));
}
