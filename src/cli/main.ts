#!/usr/bin/env node
/** The command `cadenza`. */
import '../installation/node-version.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever reads the output has seen enough.
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

// Loaded only when the version is known to be right: some of what it imports does not even link on older ones.
const { runProgram } = await import('./program.ts');
process.on('SIGINT', () => process.exit(130));
process.exitCode = await runProgram(process.argv.slice(2));
