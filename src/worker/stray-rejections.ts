import { describeThrown } from '../protocol/failures.ts';

/** Characters of what is said of one rejection: it may quote what a tool was given. */
const longestReport = 500;

/**
 * Keeps the process alive when a promise fails that nobody waits for, as tools and their libraries leave behind: Node would end it, with the calls
 * of every run that are under way in it, and the repeated call would end the next worker too. Standard error tells of it.
 */
export function surviveStrayRejections(): void {
  process.on('unhandledRejection', (reason) => {
    const said = describeThrown(reason).slice(0, longestReport);
    const message = `cadenza worker: a promise failed that nobody waits for: ${said}`;
    const entry = { time: new Date().toISOString(), level: 'error', message };
    const line = process.env['CADENZA_LOG_FORMAT'] === 'json' ? JSON.stringify(entry) : message;
    process.stderr.write(`${line}\n`);
  });
}
