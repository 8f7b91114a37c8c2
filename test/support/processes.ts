import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * Whether any process of a process group still runs. One that has ended and only waits for its parent to take note (a
 * zombie) does not; a signal cannot tell, and some containers never clear those away.
 */
export function isGroupRunning(groupId: number): boolean {
  return processes().some(({ group, state }) => group === groupId && state !== 'Z');
}

/** The same for a single process. */
export function isProcessRunning(processId: number): boolean {
  return processes().some(({ pid, state }) => pid === processId && state !== 'Z');
}

interface ListedProcess {
  readonly pid: number;
  readonly group: number;
  /** One letter: R(unning), S(leeping), Z(ombie), … */
  readonly state: string;
}

function processes(): ListedProcess[] {
  // Small Linux images come without `ps`, other systems without `/proc`.
  return existsSync('/proc/self/stat') ? processesFromProc() : processesFromPs();
}

function processesFromProc(): ListedProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        // The name, in parentheses, may itself contain spaces and parentheses.
        const [state = '', , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return [{ pid: Number(name), group: Number(group), state }];
      } catch {
        return [];
      }
    });
}

function processesFromPs(): ListedProcess[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,pgid=,stat='], { encoding: 'utf8' });
  return table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .map(([pid, group, state = '']) => ({
      pid: Number(pid),
      group: Number(group),
      state: state.slice(0, 1),
    }));
}
