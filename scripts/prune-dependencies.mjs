/** Removes from `node_modules` what this machine cannot load: Temporal's native client comes built for five platforms, 27 MB each. */
import { readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
// The SDK's own word on which of them it loads here.
const { getPrebuiltPath } = require('@temporalio/core-bridge/common.js');
const used = dirname(getPrebuiltPath());
const releases = dirname(used);

for (const name of readdirSync(releases)) {
  if (join(releases, name) !== used) rmSync(join(releases, name), { recursive: true });
}
// The sources of the native client, for those who build it.
for (const name of ['sdk-core', 'src', 'bridge-macros']) {
  rmSync(join(dirname(releases), name), { recursive: true, force: true });
}
