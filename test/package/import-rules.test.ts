import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** A small copy of this repository's shape, with its linter's settings, where git does not look. */
let folder: string;

beforeAll(() => {
  mkdirSync(join(root, '.cache'), { recursive: true });
  folder = mkdtempSync(join(root, '.cache', 'lint-'));
  cpSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', include: ['src'] }),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What each room may load at run time, and what it may not. */
const rooms: Record<string, { may: string[]; mayNot: string[] }> = {
  'src/protocol/protocol.ts': {
    may: [],
    mayNot: ['zod', './failures.ts', '@temporalio/common', 'node:crypto'],
  },
  'src/protocol/trace-context.ts': {
    may: [],
    mayNot: ['zod', './failures.ts', '@opentelemetry/api', 'node:crypto'],
  },
  'src/protocol/failures.ts': {
    may: ['./protocol.ts', '@temporalio/common'],
    mayNot: ['zod', './digest.ts', 'node:crypto', 'node:util', '../agents/registry.ts', '@redis/client'],
  },
  'src/protocol/digest.ts': { may: ['node:crypto'], mayNot: ['zod', './failures.ts', 'node:fs'] },
  'src/visibility/search-attributes.ts': {
    may: [],
    mayNot: ['zod', './list-workflows.ts', '@temporalio/common'],
  },
  'src/visibility/list-workflows.ts': {
    may: ['./search-attributes.ts', '@temporalio/common/lib/time.js'],
    mayNot: ['zod', '../client/client.ts', '../transcript/transcript.ts', '@temporalio/worker'],
  },
  'src/installation/optional-package.ts': {
    may: ['node:fs'],
    mayNot: ['zod', '../protocol/failures.ts', 'pg'],
  },
  'src/bounded-work/semaphore.ts': {
    may: ['./other.ts'],
    mayNot: ['node:fs', '../protocol/failures.ts', 'zod'],
  },
  'src/redaction/personal-data.ts': {
    may: ['./redaction.ts', '../installation/optional-package.ts', 'libphonenumber-js'],
    mayNot: ['zod', 'node:crypto', '../agents/registry.ts', '../worker/plugin.ts'],
  },
  'src/live-text/redis-client.ts': {
    may: ['./redis-text.ts', '@redis/client', 'node:crypto', 'node:timers/promises'],
    mayNot: [
      'zod',
      '../client/client.ts',
      '../worker/plugin.ts',
      '../activities/index.ts',
      '@temporalio/client',
    ],
  },
  'src/workflows/entry.ts': {
    may: [
      './other.ts',
      './deeper/other.ts',
      '../protocol/protocol.ts',
      '../visibility/search-attributes.ts',
      '@temporalio/workflow',
      '@temporalio/common',
    ],
    mayNot: [
      'zod',
      'node:fs',
      '../protocol/digest.ts',
      '../visibility/list-workflows.ts',
      '../agents/registry.ts',
      '../activities/index.ts',
      '../worker/plugin.ts',
      '@temporalio/client',
    ],
  },
  'src/workflows/loop/agent.ts': {
    may: [
      './other.ts',
      './deeper/other.ts',
      '../people/approvals.ts',
      '../messages.ts',
      '../../protocol/protocol.ts',
      '../../protocol/failures.ts',
      '../../visibility/search-attributes.ts',
      '@temporalio/workflow',
      '@temporalio/common',
    ],
    mayNot: [
      'zod',
      'openai',
      '@opentelemetry/api',
      'node:fs',
      'fs',
      '../../protocol/digest.ts',
      '../../agents/registry.ts',
      '../../live-text/redis-client.ts',
      '../../activities/index.ts',
      '../../transcript/transcript.ts',
      '../../client/client.ts',
      '../../worker/plugin.ts',
      '@temporalio/client',
      '@temporalio/worker',
      '@temporalio/activity',
    ],
  },
  'src/agents/registry.ts': {
    may: [
      './other.ts',
      '../protocol/protocol.ts',
      '../protocol/failures.ts',
      '../protocol/digest.ts',
      'zod',
      '@temporalio/common/lib/time.js',
    ],
    mayNot: [
      'openai',
      'node:fs',
      '../activities/index.ts',
      '../workflows/agent.ts',
      '../client/client.ts',
      '@temporalio/client',
    ],
  },
  'src/transcript/transcript.ts': {
    may: [
      './other.ts',
      '../protocol/protocol.ts',
      '../protocol/failures.ts',
      '@temporalio/client',
      '@temporalio/common/lib/time.js',
      '@temporalio/proto',
    ],
    mayNot: [
      'zod',
      'openai',
      'node:fs',
      '../agents/registry.ts',
      '../activities/index.ts',
      '@temporalio/worker',
    ],
  },
  'src/storage/archive.ts': {
    may: [
      './other.ts',
      '../protocol/failures.ts',
      'node:fs/promises',
      '@aws-sdk/client-s3',
      '@temporalio/common',
      '@temporalio/common/lib/proto-utils.js',
      '@temporalio/proto',
    ],
    mayNot: [
      'zod',
      'openai',
      '../agents/registry.ts',
      '../activities/index.ts',
      '../client/client.ts',
      '../worker/plugin.ts',
      '@temporalio/client',
      '@temporalio/worker',
    ],
  },
  'src/activities/models/model.ts': {
    may: [
      './other.ts',
      '../../agents/registry.ts',
      '../../transcript/transcript.ts',
      '../../protocol/digest.ts',
      '@temporalio/activity',
      'openai',
      'zod',
    ],
    mayNot: [
      '../../workflows/agent.ts',
      '../../client/client.ts',
      '../../worker/plugin.ts',
      '../../testing/model-server.ts',
      '@temporalio/worker',
    ],
  },
  'src/codec/encryption-codec.ts': {
    may: [
      './other.ts',
      '../protocol/failures.ts',
      'node:crypto',
      'zod',
      'jose',
      '@temporalio/common',
      '@temporalio/proto',
    ],
    mayNot: [
      '../worker/plugin.ts',
      '../client/client.ts',
      '../agents/registry.ts',
      '@temporalio/worker',
      'openai',
    ],
  },
  'src/tools/fetch-tool.ts': {
    may: ['./other.ts', '../agents/define-tool.ts', 'node:http', 'zod', 'ipaddr.js', 'pg'],
    mayNot: [
      '../agents/registry.ts',
      '../activities/index.ts',
      '../worker/plugin.ts',
      '@temporalio/worker',
      'openai',
    ],
  },
  'src/client/client.ts': {
    may: [
      './other.ts',
      '../protocol/protocol.ts',
      '../protocol/failures.ts',
      '../protocol/digest.ts',
      '../transcript/requests.ts',
      '@temporalio/client',
      '@temporalio/envconfig',
      'zod',
    ],
    mayNot: [
      '../agents/registry.ts',
      '../activities/index.ts',
      '../worker/plugin.ts',
      '../workflows/agent.ts',
      '@temporalio/worker',
      'openai',
    ],
  },
  'src/worker/plugin.ts': {
    may: [
      './other.ts',
      '../agents/registry.ts',
      '../activities/index.ts',
      '@temporalio/worker',
      '@temporalio/plugin',
    ],
    mayNot: [
      '../workflows/agent.ts',
      '../client/client.ts',
      '../cli/main.ts',
      '../testing/model-server.ts',
      '@temporalio/workflow',
    ],
  },
};

test.each(Object.entries(rooms))(
  '%s loads what its room may load, and types from anywhere',
  (file, { may, mayNot }) => {
    const allowed = [
      ...may.map((name) => `import * as ${nextName()} from '${name}';`),
      ...mayNot.map((name) => `import type * as ${nextName()} from '${name}';`),
      ...mayNot.map((name) => `export type * from '${name}';`),
      ...mayNot.map((name) => `import { type ${nextName()} } from '${name}';`),
    ];
    const forbidden = [
      ...mayNot.map((name) => `import * as ${nextName()} from '${name}';`),
      ...mayNot.map((name) => `import '${name}';`),
      ...mayNot.map((name) => `export { ${nextName()} } from '${name}';`),
      ...mayNot.map((name) => `await import('${name}');`),
    ];
    const flagged = lint(file, [...allowed, ...forbidden], 'eslint(no-restricted-imports)');
    expect(flagged).toEqual(forbidden);
  },
);

test('a call of an activity or an agent that nobody awaits is an error', () => {
  const setUp = [
    "import { proxyActivities } from '@temporalio/workflow';",
    'declare function proxyAgents<Agents>(): Record<keyof Agents, (input: string) => Promise<string>>;',
    'const { notify } = proxyActivities<{ notify(who: string): Promise<void> }>({ startToCloseTimeout: 1 });',
    'const { writer } = proxyAgents<{ writer: unknown }>();',
    'export async function workflow(): Promise<void> {',
    "  await notify('all');",
    "  await writer('a report');",
  ];
  const unawaited = ["  notify('all');", "  writer('a report');"];
  expect(
    lint(
      'src/workflows/own.ts',
      [...setUp, ...unawaited, '}'],
      'typescript(no-floating-promises)',
      '--type-aware',
    ),
  ).toEqual(unawaited);
});

/** Lints a file of these lines, and returns those to which the rule objects. */
function lint(file: string, lines: string[], rule: string, ...options: string[]): string[] {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${lines.join('\n')}\n`);
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/oxlint/bin/oxlint'), ...options, '--format=json', file],
    { cwd: folder, encoding: 'utf8' },
  );
  if (!stdout.startsWith('{')) throw new Error(`The linter said: ${stdout}${stderr}`);
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { code: string; labels: { span: { line: number } }[] }[];
  };
  const numbers = diagnostics
    .filter(({ code }) => code === rule)
    .map(({ labels }) => labels[0]?.span.line ?? 0)
    .toSorted((a, b) => a - b);
  return [...new Set(numbers)].map((line) => lines[line - 1] ?? `line ${line}`);
}

let names = 0;
function nextName(): string {
  names += 1;
  return `imported${names}`;
}
