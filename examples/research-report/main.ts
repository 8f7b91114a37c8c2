/** `npm start`: brings up whatever is missing (Temporal, a model, a worker), reports on a question, and ends what it started. */
import { connectToTemporal } from '../launcher/local-temporal.ts';
import { runProgram } from '../launcher/run-program.ts';
import { waitForStop } from '../launcher/stop-signals.ts';
import { print } from '../launcher/terminal.ts';
import { help, parseTask } from './arguments.ts';
import { taskQueue } from './client.ts';
import { reportOnFolder } from './report-on-folder.ts';

await runProgram(
  async (surroundings) => {
    const task = parseTask(process.argv.slice(2), process.env);
    switch (task.kind) {
      case 'help':
        return print(help);
      case 'ui': {
        const { uiUrl } = await connectToTemporal({ taskQueue }, surroundings);
        return await waitForStop(
          uiUrl === undefined ? 'No Web UI was found.' : `Web UI: ${uiUrl}`,
          surroundings.signal,
        );
      }
      case 'report':
        await reportOnFolder(task, surroundings);
        if (task.keep) await waitForStop('Temporal and its Web UI stay up.', surroundings.signal);
    }
  },
  { usage: 'Try: npm start -- --help' },
);
