/** Writes the optional peer dependencies, as `name@version` of the lock file, for an image that is to have them all. */
import { readFileSync } from 'node:fs';

const { peerDependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'));
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));

process.stdout.write(
  Object.keys(peerDependencies)
    .map((name) => `${name}@${packages[`node_modules/${name}`].version}`)
    .join(' '),
);
