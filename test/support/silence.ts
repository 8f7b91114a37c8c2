import { DefaultLogger, Runtime } from '@temporalio/worker';

// Workers of tests that fail on purpose would fill the report with their warnings.
Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'ERROR' } } });
