// Looks known vulnerabilities of the dependencies up; fails where there is a serious one, and says so where nobody can be asked.
const { spawnSync } = require('node:child_process');

const { stdout, stderr, error } = spawnSync(
  process.platform === 'win32' ? 'npm.cmd' : 'npm',
  ['audit', '--omit=dev', '--audit-level=high', '--json'],
  { encoding: 'utf8', timeout: 120_000, maxBuffer: 64 * 1024 * 1024, shell: process.platform === 'win32' },
);

const report = parse(stdout);
const counts = report?.metadata?.vulnerabilities;
if (!counts) {
  const why = report?.message ?? report?.error?.summary ?? error?.message ?? stderr.trim().split('\n')[0];
  say(`WARNING: the dependencies were not audited: the registry could not be asked (${why})`);
} else {
  const serious = counts.high + counts.critical;
  for (const { name, severity, via } of Object.values(report.vulnerabilities ?? {})) {
    const titles = via.map((one) => (typeof one === 'string' ? one : one.title)).join('; ');
    say(`${severity}: ${name}: ${titles}`);
  }
  say(
    `Audited the dependencies: ${counts.total} known vulnerabilities, ${serious} of them high or critical`,
  );
  if (serious > 0) process.exitCode = 1;
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
