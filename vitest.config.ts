import { configDefaults, defineConfig } from 'vitest/config';

/** The fault tests that take long: `npm run test:faults` runs them, and all other fault tests with more of everything. */
const long = 'test/faults/long/**';

export default defineConfig(({ mode }) => ({
  resolve: { conditions: ['cadenza-source'] },
  ssr: { resolve: { conditions: ['cadenza-source'], externalConditions: ['cadenza-source'] } },
  test: {
    include: [mode === 'faults' ? 'test/faults/**/*.test.ts' : 'test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(mode === 'faults' ? [] : [long])],
    provide: { faults: mode === 'faults' ? 'all' : 'some' },
    reporters: ['default', './test/support/plain-summary.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/silence.ts', 'test/support/patience.ts'],
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    execArgv: ['--conditions=cadenza-source'],
    maxWorkers: 2,
    testTimeout: 60_000,
    // Real servers and processes on a machine that is shared: one that passes at its second try is said to have been tried twice.
    retry: process.env['CI'] ? 1 : 0,
    hookTimeout: 120_000,
    typecheck: { enabled: false },
  },
}));
