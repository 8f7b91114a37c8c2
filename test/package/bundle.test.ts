import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type BundleOptions } from '@temporalio/worker';
import { CadenzaPlugin } from 'cadenza/worker';
import { beforeAll, expect, test } from 'vitest';
import * as agents from '../support/processes/own-agents.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const mostBytes = 1_300_000;

type Configuration = Parameters<NonNullable<BundleOptions['webpackConfigHook']>>[0];

let code: string;
/** Every module of the bundle, as a path from the repository's root. */
let modules: string[];

beforeAll(async () => {
  modules = [];
  ({ code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../support/processes/own-workflows.ts', import.meta.url)),
    plugins: [new CadenzaPlugin({ agents })],
    webpackConfigHook: listModules,
    logger: new DefaultLogger('ERROR'),
  }));
});

function listModules(config: Configuration): Configuration {
  const lister: NonNullable<Configuration['plugins']>[number] = {
    apply: (compiler: {
      hooks: Record<'compilation', Hook<{ hooks: Record<'finishModules', Hook<Iterable<Listed>>> }>>;
    }) =>
      compiler.hooks.compilation.tap('list', (compilation) =>
        compilation.hooks.finishModules.tap('list', (built) => {
          for (const module of built) modules.push(pathOf(module.identifier()));
        }),
      ),
  };
  return { ...config, plugins: [...(config.plugins ?? []), lister] };
}

interface Listed {
  identifier(): string;
}
interface Hook<T> {
  tap(name: string, see: (value: T) => void): void;
}

/** Webpack writes `loader!type|path`. */
function pathOf(identifier: string): string {
  return relative(root, identifier.split('!').at(-1)?.split('|').at(-1) ?? identifier);
}

test("the workflow bundle holds Cadenza's workflow code and the user's, and nothing else of either", () => {
  const ours = modules.filter((path) => path.startsWith('src/') && !path.startsWith('src/workflows/'));
  expect(ours.toSorted()).toEqual([
    'src/protocol/agent-start.ts',
    'src/protocol/attachments.ts',
    'src/protocol/failures.ts',
    'src/protocol/message-problem.ts',
    'src/protocol/policy.ts',
    'src/protocol/protocol.ts',
    'src/protocol/summary.ts',
    'src/protocol/tenancy.ts',
    'src/visibility/search-attributes.ts',
  ]);
  expect(modules).toContain('src/workflows/loop/agent.ts');
  expect(modules).toContain('src/workflows/proxy-agents.ts');
  const theirs = modules.filter((path) => path.startsWith('test/'));
  expect(theirs).toEqual(['test/support/processes/own-workflows.ts']);
});

test('the workflow bundle holds no package but what Temporal puts into it: no zod, no openai', () => {
  const packages = modules.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
  const temporals = ['@temporalio/common', '@temporalio/workflow', 'long', 'ms', 'nexus-rpc'];
  expect([...new Set(packages)].toSorted()).toEqual(temporals);
});

test('the workflow bundle holds no module of Node', () => {
  const others = modules.filter((path) => !/^(src|test)\/|(^|\/)node_modules\//.test(path));
  // Temporal's own hooks for converters, empty here.
  expect(others.toSorted()).toEqual([
    '__temporal_custom_failure_converter',
    '__temporal_custom_payload_converter',
  ]);
});

test(`the workflow bundle takes at most ${mostBytes} bytes`, () => {
  expect(Buffer.byteLength(code)).toBeLessThan(mostBytes);
  // Far below the limit, something would be missing.
  expect(Buffer.byteLength(code)).toBeGreaterThan(mostBytes / 3);
});
