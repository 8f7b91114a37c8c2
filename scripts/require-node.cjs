/**
 * The same rule as src/installation/node-version.ts for `node --require`, in words that any old Node understands: a Node that is too old
 * cannot even read a TypeScript file, and so would not get as far as that one.
 */
var needed = require('../package.json').engines.node.replace(/^[^0-9]*/, '');
var least = needed.split('.').map(Number);
var own = process.versions.node.split('.').map(Number);

if (own[0] < least[0] || (own[0] === least[0] && own[1] < (least[1] || 0))) {
  process.stderr.write(
    'Cadenza needs Node ' +
      needed +
      ' or newer and this is Node ' +
      process.versions.node +
      ': install a newer Node, ' +
      'or run `npm ci` with its install scripts allowed, so that npm scripts use the Node that it brings along.\n',
  );
  process.exit(1);
}
