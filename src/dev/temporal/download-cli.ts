/**
 * A process of its own: fetches the Temporal CLI into the folder given as its only argument, the way the SDK does for its
 * tests. The SDK offers no way to stop a download under way, so that whoever waits for it ends this process instead.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';

const downloadDir = process.argv[2];
if (downloadDir === undefined) throw new Error('the folder to download to is missing');
// The SDK's own handler would wait for the download.
process.once('SIGTERM', () => process.exit(1));
try {
  // The SDK only downloads in order to start a server; that it does start shows that the file is whole.
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', downloadDir } },
  });
  await environment.teardown();
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
