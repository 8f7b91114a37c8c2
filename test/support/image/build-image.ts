import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { baseRoot } from './base-root.ts';
import { copyBuildContext } from './build-context.ts';
import { readDockerfile, type Instruction, type Stage } from './dockerfile.ts';

const run = promisify(execFile);

/** What a stage came to: a file system, and how its container runs. */
export interface Image {
  root: string;
  user: string;
  workingDirectory: string;
  env: Record<string, string>;
  entrypoint: string[];
  command: string[];
  healthcheck: string[];
}

/**
 * Does what `docker build` does with the Dockerfile and the build context in `repository`, in folders below `work`: each RUN is executed in
 * the file system that the instructions before it made, and nothing else.
 */
export class ImageBuilder {
  private readonly work: string;
  private readonly context: string;
  private readonly stages: Stage[];
  private readonly built = new Map<string, Promise<Image>>();

  constructor(repository: string, work: string) {
    this.work = work;
    this.stages = readDockerfile(join(repository, 'Dockerfile'));
    this.context = mkdtempSync(join(work, 'context-'));
    copyBuildContext(repository, this.context);
  }

  /** The stage that is built when none is named. */
  get defaultTarget(): string {
    return this.stages.at(-1)?.name ?? '';
  }

  /** The image of a stage; made once. */
  build(target: string): Promise<Image> {
    const known = this.built.get(target) ?? this.buildStage(target);
    this.built.set(target, known);
    return known;
  }

  private async buildStage(target: string): Promise<Image> {
    const stage = this.stages.find(({ name }) => name === target);
    if (!stage) throw new Error(`The Dockerfile has no stage "${target}"`);
    const isStage = this.stages.some(({ name }) => name === stage.from);
    const from = isStage ? await this.build(stage.from) : await baseImage(stage.from);
    const image = { ...from, env: { ...from.env }, root: join(this.work, target) };
    await run('cp', ['-a', '--reflink=auto', from.root, image.root]);
    for (const each of stage.instructions) await this.execute(each, image);
    return image;
  }

  private async execute({ keyword, flags, text, list }: Instruction, image: Image): Promise<void> {
    if (keyword === 'WORKDIR') {
      image.workingDirectory = text;
      mkdirSync(join(image.root, text), { recursive: true });
    } else if (keyword === 'USER') image.user = text;
    else if (keyword === 'ENV') {
      for (const [, name = '', value = ''] of text.matchAll(/(\w+)=(\S+)/g)) image.env[name] = value;
    } else if (keyword === 'COPY') await this.copy(text.split(/\s+/), flags['from'], image);
    else if (keyword === 'RUN') await runIn(image, text);
    else if (keyword === 'ENTRYPOINT') {
      image.entrypoint = list ?? ['/bin/sh', '-c', text];
      image.command = [];
    } else if (keyword === 'CMD') image.command = list ?? ['/bin/sh', '-c', text];
    else if (keyword === 'HEALTHCHECK') image.healthcheck = list ?? ['/bin/sh', '-c', text];
    else if (!['EXPOSE', 'STOPSIGNAL'].includes(keyword)) throw new Error(`${keyword} is not known here`);
  }

  private async copy(words: string[], from: string | undefined, image: Image): Promise<void> {
    const source = from === undefined ? this.context : (await this.build(from)).root;
    const [to = '', ...sources] = words.toReversed();
    const target = to.startsWith('/') ? join(image.root, to) : join(image.root, image.workingDirectory, to);
    for (const name of sources) {
      const path = join(source, name);
      if (!existsSync(path)) throw new Error(`COPY: there is no ${name} in ${from ?? 'the build context'}`);
      const into =
        to.endsWith('/') ||
        (sources.length > 1 && !statSync(path).isDirectory()) ||
        to === '.' ||
        to === './';
      const end = into && !statSync(path).isDirectory() ? join(target, basename(name)) : target;
      mkdirSync(dirname(end), { recursive: true });
      cpSync(path, end, { recursive: true, verbatimSymlinks: true });
    }
  }
}

async function baseImage(image: string): Promise<Image> {
  const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
  const root = await baseRoot(image);
  return {
    root,
    user: 'root',
    workingDirectory: '/',
    env,
    entrypoint: [],
    command: ['node'],
    healthcheck: [],
  };
}

/** Executes a command in the image's file system, with processes of its own and the machine's network. */
async function runIn(image: Image, command: string): Promise<void> {
  if (image.user !== 'root') throw new Error('RUN as another user is not known here');
  const { root, workingDirectory } = image;
  const network = machineNetwork(root);
  try {
    // The machine's cache of npm saves the registry some work.
    const cache = join(homedir(), '.npm');
    const inner = join(root, 'root/.npm');
    mkdirSync(cache, { recursive: true });
    mkdirSync(inner, { recursive: true });
    const script =
      'mount --bind "$1" "$2" && mount -t proc proc "$3/proc" && exec chroot "$3" /bin/sh -c "cd $4 && $5"';
    const args = ['--mount', '--pid', '--fork', '--kill-child', '/bin/sh', '-c', script, 'run'];
    await run('unshare', [...args, cache, inner, root, workingDirectory, command], {
      env: { ...network.env, ...image.env, HOME: '/root' },
      maxBuffer: 64 * 1024 * 1024,
    });
  } finally {
    network.remove();
  }
}

/** Lends an image the machine's way to the network, which Docker brings along and the image must not keep. */
function machineNetwork(root: string): { env: Record<string, string>; remove: () => void } {
  const settings = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      /^(npm_config_registry|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy)$/i.test(entry[0]),
  );
  const env = Object.fromEntries(settings);
  const certificates = env['NODE_EXTRA_CA_CERTS'];
  const lent = ['/etc/resolv.conf', '/etc/hosts', ...(certificates ? [certificates] : [])];
  const added = lent.filter((path) => existsSync(path) && !existsSync(join(root, path)));
  for (const path of lent.filter(existsSync)) cpSync(path, join(root, path), { dereference: true });
  return { env, remove: () => added.forEach((path) => rmSync(join(root, path))) };
}
