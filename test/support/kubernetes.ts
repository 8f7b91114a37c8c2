import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Ajv2020 as Ajv, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse, parseAllDocuments } from 'yaml';
import { oneAtATime } from '../../src/dev/temporal/install-cli.ts';
import { goModule, goProgram, hasCommand, testCache } from './go-program.ts';

const run = promisify(execFile);

/** A Kubernetes object, as far as tests look at all of them. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
}

/** What `kubectl apply --kustomize` would send of a folder. */
export async function kustomize(folder: string): Promise<Manifest[]> {
  const program = await goProgram('sigs.k8s.io/kustomize/kustomize/v5', 'v5.7.1');
  const { stdout } = await run(program ?? '', ['build', folder]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

type Schema = { [keyword: string]: unknown };

/** The schemas of a Kubernetes release and of KEDA; unknown fields are mistakes. */
export class KubernetesSchemas {
  private readonly folder: string;
  private readonly keda: string;
  private readonly ajv: Ajv;
  private readonly validators = new Map<string, ValidateFunction>();

  private constructor(folder: string, keda: string) {
    this.folder = folder;
    this.keda = keda;
    this.ajv = new Ajv({ strict: false, validateFormats: false, validateSchema: false, allErrors: true });
    this.ajv.addSchema(this.read('_definitions.json'), '_definitions.json');
  }

  /** `undefined` where pip or Go, which bring them, are missing. */
  static async load(release: string): Promise<KubernetesSchemas | undefined> {
    const packages = await pythonPackage('kubernetes-validate', '1.37.0');
    const keda = await goModule('github.com/kedacore/keda/v2', 'v2.21.0');
    if (!packages || !keda) return undefined;
    const folder = join(packages, 'kubernetes_validate/kubernetes-json-schema', `v${release}-local-strict`);
    return new KubernetesSchemas(folder, keda);
  }

  /** What is wrong with an object: nothing, or the places and reasons. */
  problems(manifest: Manifest): string[] {
    const key = `${manifest.apiVersion} ${manifest.kind}`;
    const validate = this.validators.get(key) ?? this.ajv.compile(this.schemaOf(manifest));
    this.validators.set(key, validate);
    if (validate(manifest)) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${key} ${instancePath}: ${message} ${JSON.stringify(params)}`,
    );
  }

  private schemaOf({ apiVersion, kind }: Manifest): Schema {
    if (apiVersion.startsWith('keda.sh/')) return this.customResource(kind);
    const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    const parts = [kind.toLowerCase(), group.split('.')[0], version].filter((part) => part !== '');
    return this.read(`${parts.join('-')}.json`);
  }

  private customResource(kind: string): Schema {
    const file = join(this.keda, 'config/crd/bases', `keda.sh_${kind.toLowerCase()}s.yaml`);
    const definition = parse(readFileSync(file, 'utf8')) as {
      spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
    };
    const schema = closed(definition.spec.versions[0]?.schema.openAPIV3Schema ?? {}) as Schema;
    // Kubernetes checks what every object has by itself.
    return { ...schema, properties: { ...(schema['properties'] as Schema), metadata: { type: 'object' } } };
  }

  private read(name: string): Schema {
    return JSON.parse(readFileSync(join(this.folder, name), 'utf8')) as Schema;
  }
}

/** The same schema, with no fields besides those that it names. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isObject =
    'properties' in inner && typeof inner['properties'] === 'object' && inner['type'] === 'object';
  const isOpen = 'additionalProperties' in inner || inner['x-kubernetes-preserve-unknown-fields'] === true;
  return isObject && !isOpen ? { ...inner, additionalProperties: false } : inner;
}

/** The folder of a Python package without what it depends on, fetched once. */
async function pythonPackage(name: string, version: string): Promise<string | undefined> {
  const folder = join(testCache(), 'python', `${name}-${version}`);
  if (existsSync(folder)) return folder;
  if (!(await hasCommand('pip', '--version'))) return undefined;
  const cacheDir = dirname(folder);
  const report = (line: string) => void process.stderr.write(`${line.replace('the Temporal CLI', name)}\n`);
  return await oneAtATime({ env: process.env, cacheDir, report }, async () => {
    if (existsSync(folder)) return folder;
    const fetching = mkdtempSync(join(cacheDir, 'fetching-'));
    try {
      await run('pip', ['install', '--quiet', '--no-deps', '--target', fetching, `${name}==${version}`]);
      renameSync(fetching, folder);
      return folder;
    } finally {
      rmSync(fetching, { recursive: true, force: true });
    }
  });
}
