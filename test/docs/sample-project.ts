import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** The code blocks of a document that name the file they are, in their first line: `// agents.ts`, `// agents.ts: why`. */
export async function samplesOf(document: string): Promise<Map<string, string>> {
  const text = await readFile(join(repository, document), 'utf8');
  const blocks = text.matchAll(/^```ts\n(\/\/ ([\w.-]+\.ts)\b[^]*?)^```$/gm);
  return new Map([...blocks].map(([, code = '', name = '']) => [name, code]));
}

/** How a process ended, and all it wrote. */
export interface ProcessEnd {
  code: number | null;
  output: string;
}

/** A process under way. */
export interface RunningProcess {
  /** Waits until it has written the text; rejects, with what it wrote, when it ends before that. */
  said(text: string): Promise<void>;
  /** Asks it to stop, as an operator would. */
  stop(): Promise<ProcessEnd>;
  readonly ended: Promise<ProcessEnd>;
}

/** A folder with documents' samples, in which `cadenza` is this repository's source. */
export class SampleProject {
  private readonly folder: string;
  private readonly env: Record<string, string>;
  private readonly children = new Set<ChildProcess>();

  private constructor(folder: string, env: Record<string, string>) {
    this.folder = folder;
    this.env = env;
  }

  /** Writes the samples into a new folder. Its processes get this environment and nothing of the tests' own settings. */
  static async create(
    samples: ReadonlyMap<string, string>,
    env: Record<string, string>,
  ): Promise<SampleProject> {
    const folder = await mkdtemp(join(tmpdir(), 'cadenza-docs-'));
    await mkdir(join(folder, 'node_modules'));
    await symlink(repository, join(folder, 'node_modules', 'cadenza'), 'dir');
    for (const name of ['zod', '@temporalio', '@types'])
      await symlink(join(repository, 'node_modules', name), join(folder, 'node_modules', name), 'dir');
    const project = new SampleProject(folder, env);
    await project.write('package.json', JSON.stringify({ private: true, type: 'module' }));
    const settings = { extends: join(repository, 'tsconfig.json'), include: ['*.ts'] };
    await project.write('tsconfig.json', JSON.stringify(settings));
    for (const [name, code] of samples) await project.write(name, code);
    return project;
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.folder, name), text);
  }

  async read(name: string): Promise<string> {
    return await readFile(join(this.folder, name), 'utf8');
  }

  /** What the compiler says; empty when all is well. */
  async typeErrors(): Promise<string> {
    const tsc = join(repository, 'node_modules', 'typescript', 'bin', 'tsc');
    return (await this.start([tsc, '-p', '.']).ended).output;
  }

  /** Starts Node on a file, with further arguments or variables. */
  start(args: string[], env: Record<string, string> = {}): RunningProcess {
    const child = spawn(process.execPath, ['--conditions=cadenza-source', ...args], {
      cwd: this.folder,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.children.add(child);
    return watch(child);
  }

  /** Runs a file to its end and returns what it wrote; throws when it fails. */
  async run(...args: string[]): Promise<string> {
    const { code, output } = await this.start(args).ended;
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${output}`);
    return output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children) child.kill('SIGKILL');
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function watch(child: ChildProcess): RunningProcess {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }));
  return {
    ended,
    async said(text) {
      while (!output.includes(text)) {
        const heard = [child.stdout!, child.stderr!].map(async (stream) => await once(stream, 'data'));
        const first = await Promise.race([...heard, ended]);
        if (!Array.isArray(first)) throw new Error(`The process ended without saying "${text}":\n${output}`);
      }
    },
    async stop() {
      child.kill('SIGTERM');
      return await ended;
    },
  };
}
