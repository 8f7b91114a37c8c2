import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['cadenza-source'] },
  ssr: { resolve: { conditions: ['cadenza-source'], externalConditions: ['cadenza-source'] } },
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/support/plain-summary.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/silence.ts'],
    pool: 'forks',
    execArgv: ['--conditions=cadenza-source'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    typecheck: { enabled: false },
  },
});
