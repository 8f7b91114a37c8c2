import { readFileSync } from 'node:fs';

/** One instruction of a Dockerfile: what it says, and its words where it is a list. */
export interface Instruction {
  keyword: string;
  /** `--from=build` and its like. */
  flags: Record<string, string>;
  text: string;
  /** The words of `["node", "main.js"]`. */
  list?: string[];
}

/** A stage: where it begins, and what is done in it. */
export interface Stage {
  name: string;
  /** Another stage's name, or an image. */
  from: string;
  instructions: Instruction[];
}

/** Reads a Dockerfile of the form that ours has: stages with names, arguments with defaults before the first. */
export function readDockerfile(path: string): Stage[] {
  const text = readFileSync(path, 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ');
  const globals: Record<string, string> = {};
  const stages: Stage[] = [];
  for (const line of text.split('\n').filter((each) => each.trim() !== '')) {
    const [, keyword = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    const stage = stages.at(-1);
    if (keyword === 'ARG' && !stage) {
      const [name = '', value = ''] = rest.split('=');
      globals[name] = value;
    } else if (keyword === 'FROM') {
      const [image = '', , name = ''] = rest.split(/\s+/);
      stages.push({
        name,
        from: image.replaceAll(/\$\{(\w+)\}/g, (_, each: string) => globals[each] ?? ''),
        instructions: [],
      });
    } else if (stage) {
      stage.instructions.push(instruction(keyword, rest));
    } else {
      throw new Error(`${keyword} stands before the first FROM`);
    }
  }
  return stages;
}

function instruction(keyword: string, rest: string): Instruction {
  const flags: Record<string, string> = {};
  let text = rest.trim();
  for (let found = /^--([\w-]+)=(\S+)\s+/.exec(text); found; found = /^--([\w-]+)=(\S+)\s+/.exec(text)) {
    flags[found[1] ?? ''] = found[2] ?? '';
    text = text.slice(found[0].length);
  }
  // The command of a health check has the same two forms.
  const command = keyword === 'HEALTHCHECK' ? text.replace(/^CMD\s+/, '') : text;
  return {
    keyword,
    flags,
    text: command,
    ...(command.startsWith('[') && { list: JSON.parse(command) as string[] }),
  };
}
