import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { vi } from 'vitest';

/** An S3 server that is not ours, on the loopback interface. */
export interface S3Server {
  /** Of a bucket that exists, as `openStore` takes it. */
  location: string;
  close(): Promise<void>;
}

const own = fileURLToPath(new URL('../../.cache/moto', import.meta.url));
const installed = join(own, 'bin', 'moto_server');

/** moto's server: where the environment or the PATH says, or installed by pip into this repository's cache; `undefined` without Python. */
function findMoto(): string | undefined {
  const named = process.env['CADENZA_MOTO_SERVER'];
  if (named !== undefined) return named;
  if (spawnSync('moto_server', ['--help']).status === 0) return 'moto_server';
  if (existsSync(installed)) return installed;
  if (spawnSync('python3', ['-m', 'venv', own]).status !== 0) return undefined;
  const pip = spawnSync(join(own, 'bin', 'pip'), ['install', '--quiet', 'moto[server,s3]>=5,<6']);
  if (pip.status !== 0) throw new Error(`moto could not be installed: ${pip.stderr.toString()}`);
  return installed;
}

/** Starts moto with a bucket, and sets credentials for it in this process's environment; `undefined` where there is no Python. */
export async function startS3Server(bucket = 'payloads'): Promise<S3Server | undefined> {
  const command = findMoto();
  if (command === undefined) {
    if (process.env['CI'] !== undefined) throw new Error('the tests of S3 need Python 3 with venv');
    process.stderr.write('S3 is not tested: there is no Python 3 with venv for moto, an S3 server\n');
    return undefined;
  }
  const port = await freePort();
  const before = { ...process.env };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  const server = spawn(command, ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true });
  await vi.waitFor(async () => await client.send(new CreateBucketCommand({ Bucket: bucket })), {
    timeout: 60_000,
    interval: 200,
  });
  client.destroy();
  return {
    location: `s3://${bucket}/some/prefix?endpoint=${encodeURIComponent(endpoint)}`,
    close: async () => {
      process.env = before;
      const ended = once(server, 'exit');
      server.kill();
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
