import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from '@temporalio/worker';
import { failureConverterPath } from '../codec/with-codec.ts';
import type { BundleKind } from './bundling.ts';

/** What of a worker's options decides which bundle it needs. */
export type BundleNeeds = Pick<
  WorkerOptions,
  'workflowsPath' | 'bundlerOptions' | 'interceptors' | 'dataConverter' | 'plugins'
>;

/** A bundle that came with the package. */
export interface ShippedBundle {
  readonly codePath: string;
  /** Names the package's version and what is in the bundle. The SDK's own is 91 characters long, and in the history three times a turn. */
  readonly buildId: string;
}

/** Beside the bundles: what they were made with. */
export interface BundleManifest {
  /** Of Temporal's packages, whose code is in the bundles. */
  readonly versions: Readonly<Record<string, string>>;
  readonly buildIds: Readonly<Record<string, string>>;
}

/** Temporal's packages whose code is in a bundle, or has to fit to what is. */
export const bundledPackages = ['@temporalio/common', '@temporalio/worker', '@temporalio/workflow'];

/** Where `npm run build` puts them. A worker that runs from the sources finds none. */
export const bundlesFolder = fileURLToPath(new URL('../bundles/', import.meta.url));

const require = createRequire(import.meta.url);

/** The version of an installed package. */
export function installedVersion(name: string): string {
  return (require(`${name}/package.json`) as { version: string }).version;
}

/** A bundle's name, which is its file's. */
export function bundleName(what: 'agents' | 'limiter', { encrypts, traces }: BundleKind): string {
  return [what, ...(encrypts ? ['encrypted'] : []), ...(traces ? ['traced'] : [])].join('-');
}

/** The bundles in a folder. None where it has no manifest, or where they were made with other versions of Temporal's packages than are installed. */
export class ShippedBundles {
  private readonly folder: string;
  private readonly versionOf: (name: string) => string;
  private read: BundleManifest | null | undefined;

  constructor(folder: string, versionOf: (name: string) => string = installedVersion) {
    this.folder = folder;
    this.versionOf = versionOf;
  }

  /** The one for a worker without workflows, interceptors and converters of its own; `undefined`: it has to bundle. */
  forAgents(needs: BundleNeeds, kind: BundleKind, plugin: object): ShippedBundle | undefined {
    const { workflowsPath, bundlerOptions, interceptors, dataConverter, plugins = [] } = needs;
    if (workflowsPath !== undefined || bundlerOptions !== undefined) return undefined;
    if ((interceptors?.workflowModules?.length ?? 0) > 0) return undefined;
    if (plugins.some((other) => other !== plugin && 'configureBundler' in other)) return undefined;
    return this.find(bundleName('agents', kind), kind.encrypts, dataConverter);
  }

  /** The one for the worker of limiters. */
  forLimiters({ dataConverter }: Pick<BundleNeeds, 'dataConverter'>): ShippedBundle | undefined {
    const encrypts = dataConverter?.failureConverterPath !== undefined;
    return this.find(bundleName('limiter', { encrypts, traces: false }), encrypts, dataConverter);
  }

  private find(
    name: string,
    encrypts: boolean,
    { payloadConverterPath, failureConverterPath: path }: NonNullable<BundleNeeds['dataConverter']> = {},
  ): ShippedBundle | undefined {
    const own = payloadConverterPath ?? (path === failureConverterPath ? undefined : path);
    if (own !== undefined || encrypts !== (path !== undefined)) return undefined;
    const buildId = this.manifest?.buildIds[name];
    return buildId === undefined ? undefined : { codePath: join(this.folder, `${name}.js`), buildId };
  }

  private get manifest(): BundleManifest | null {
    if (this.read !== undefined) return this.read;
    const file = join(this.folder, 'manifest.json');
    const found = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as BundleManifest) : null;
    const fits = bundledPackages.every((name) => found?.versions[name] === this.versionOf(name));
    return (this.read = fits ? found : null);
  }
}

/** Those of this package. A worker that runs from the sources finds none. */
export const shippedBundles = new ShippedBundles(bundlesFolder);
