/**
 * Ends the process, with one sentence on what to do, when this Node is older than `engines.node` in package.json. Imported for
 * that effect alone, before all other modules of a program.
 */
import { existsSync, readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  engines: { node: string };
};
const needed = manifest.engines.node.replace(/^[^0-9]*/, '');
const [major = 0, minor = 0] = needed.split('.').map(Number);
const [ownMajor = 0, ownMinor = 0] = process.versions.node.split('.').map(Number);

if (ownMajor < major || (ownMajor === major && ownMinor < minor)) {
  // Only the repository brings a Node along.
  const scripts = existsSync(new URL('../../tsconfig.json', import.meta.url))
    ? ', or start it with `npm start` or another npm script, which use the Node that `npm ci` brings along'
    : '';
  process.stderr.write(
    `Cadenza needs Node ${needed} or newer and this is Node ${process.versions.node}: install a newer Node${scripts}.\n`,
  );
  process.exit(1);
}
