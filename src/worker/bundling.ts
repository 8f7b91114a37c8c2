import type { BundleOptions } from '@temporalio/worker';
import { failureConverterPath } from '../codec/with-codec.ts';
import { modulePath as pathOf } from '../installation/module-path.ts';

/** What a bundle of workflows holds beside the workflows. */
export interface BundleKind {
  /** The failure converter that lets a codec encrypt messages of failures. */
  readonly encrypts: boolean;
  /** The interceptors that name spans. */
  readonly traces: boolean;
}

/** A module of this package, as seen from here. */
export const modulePath = (name: string): string => pathOf(name, import.meta.url);

/** The workflows of a worker that has none of its own. */
export const noUserWorkflows = '../workflows/no-user-workflows';
/** The one of the worker beside it that divides providers' limits. */
export const limiterWorkflow = '../workflows/beside/provider-limiter';

/** Options of the SDK's bundler that put the agent workflow beside the user's own, and make `cadenza/workflow` the very same module in both. */
export function bundlerOptions(options: BundleOptions, { encrypts, traces }: BundleKind): BundleOptions {
  const entry = modulePath('../workflows/entry');
  if (options.workflowsPath === entry) return options;
  const workflowInterceptorModules = [
    ...(options.workflowInterceptorModules ?? []),
    modulePath('../workflows/observe/log-attributes'),
    ...(traces ? [modulePath('../workflows/observe/tracing')] : []),
  ];
  const userWorkflows = options.workflowsPath;
  return {
    ...(encrypts && { failureConverterPath }),
    ...definedOf(options),
    workflowInterceptorModules,
    workflowsPath: entry,
    preloadModules: [...(options.preloadModules ?? []), ...sharedModules({ encrypts, traces })],
    webpackConfigHook: (config) => {
      const hooked = options.webpackConfigHook?.(config) ?? config;
      const alias = {
        ...(hooked.resolve?.alias as Record<string, string> | undefined),
        'cadenza-user-workflows$': userWorkflows,
        'cadenza/workflow$': modulePath('../workflows/index'),
      };
      // Line numbers in stack traces need the map, not a second copy of every source in it: 0.5 MB for each worker to load.
      const devtool = hooked.devtool === 'inline-source-map' ? 'inline-nosources-source-map' : hooked.devtool;
      return {
        ...hooked,
        ...(devtool !== undefined && { devtool }),
        resolve: { ...hooked.resolve, alias },
      };
    },
  };
}

/**
 * The modules of this package that a worker loads once, and not again for each workflow: that saves memory, and code that every run uses becomes fast.
 * They keep what is a workflow's own by `workflowState`.
 */
function sharedModules({ encrypts, traces }: BundleKind): string[] {
  const beside = ['archive-run', 'concurrency-slots', 'tenant-budget'].map((name) => `beside/${name}`);
  const names = ['proxy-agents', 'loop/agent', ...beside, 'observe/log-attributes'];
  if (traces) names.push('observe/tracing');
  return [
    ...names.map((name) => modulePath(`../workflows/${name}`)),
    ...(encrypts ? [failureConverterPath] : []),
  ];
}

/** The options that are given: a worker passes on what it has not got as `undefined`. */
function definedOf(options: BundleOptions): BundleOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as BundleOptions;
}
