import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WorkflowFailedError } from '@temporalio/client';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { CadenzaClient } from 'cadenza/client';
import { Archive } from '../../src/storage/archive.ts';
import { externalStorage } from '../../src/storage/external-storage.ts';
import { payloadPrefix } from '../../src/storage/keys.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, placesOf } from '../support/histories.ts';
import { startS3Server, type S3Server } from '../support/s3-server.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-payloads-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What holds of payloads in every store. */
function keepsPayloads(open: () => ObjectStore): void {
  test('I4 T2: what is over the threshold is in the store and not in the history, and a cold worker sends the same requests', async () => {
    const store = open();
    await using harness = await startHarness({
      agents: [eventful],
      transcripts: { cacheBytes: 0 },
      dataConverter: { externalStorage: externalStorage({ store, thresholdBytes: 4_096 }) },
      respond: eventfulModel,
    });
    const run = await harness.client.start(eventful, eventfulInput);
    expect(await run.result()).toMatchObject({ turns: eventfulTurns });
    expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(
      harness.server.requests.map(({ rawBody }) => rawBody),
    );
    const events = await eventsOf(harness.client, run.workflowId);
    expect(placesOf(events, 'n'.repeat(6_000))).toEqual([]);
    expect(placesOf(events, 'Look things up')).not.toEqual([]);
    const sizes: number[] = [];
    for await (const { bytes } of store.list(payloadPrefix('default', run.workflowId))) sizes.push(bytes);
    expect(sizes.length).toBeGreaterThan(0);
    expect(Math.min(...sizes)).toBeGreaterThan(4_000);
  }, 60_000);

  test('T2: an object that is missing ends the run as TranscriptGone', async () => {
    const store = open();
    const tool = (name: string, execute: () => Promise<string>) =>
      defineTool({ name, description: name, input: z.object({}), effect: 'read', execute });
    let workflowId = '';
    const keeper = defineAgent({
      name: 'keeper',
      instructions: 'Keep.',
      tools: [
        tool('keep', async () => 'what-was-kept'.repeat(1_000)),
        tool('lose', async () => {
          for await (const { key } of store.list(payloadPrefix('default', workflowId)))
            await store.delete(key);
          return 'lost';
        }),
      ],
    });
    await using harness = await startHarness({
      agents: [keeper],
      transcripts: { cacheBytes: 0 },
      dataConverter: { externalStorage: externalStorage({ store, thresholdBytes: 8_192 }) },
      respond: scriptedModel([
        { toolCalls: [{ name: 'keep', arguments: {} }] },
        { toolCalls: [{ name: 'lose', arguments: {} }] },
        { text: 'not reached' },
      ]),
    });
    workflowId = `keeper-${crypto.randomUUID()}`;
    const run = await harness.client.start(keeper, 'Go.', { id: workflowId });
    const failed = (await run.result().catch((error: unknown) => error)) as WorkflowFailedError;
    expect(failed.cause).toMatchObject({
      type: 'TranscriptGone',
      message: expect.stringMatching(/no such object: payloads\//) as string,
    });
    expect(harness.server.requests).toHaveLength(2);
  }, 60_000);
}

/** What holds of archives in every store. */
function keepsArchives(open: () => ObjectStore): void {
  test('T11: a run is archived there and read from there', async () => {
    const store = open();
    await using harness = await startHarness({ agents: [eventful], archive: store, respond: eventfulModel });
    const run = await harness.client.start(eventful, eventfulInput);
    await run.result();
    const archive = new Archive(store, 'default');
    await vi.waitFor(async () => expect(await archive.find(run.workflowId)).toBeTruthy(), {
      timeout: 30_000,
    });
    const offline = new CadenzaClient(harness.client.temporal, harness.taskQueue, async () => undefined, {
      archive,
      archiveOnly: true,
    });
    expect(await offline.get(run.workflowId).requests()).toEqual(await run.requests());
  }, 60_000);
}

describe('a folder', () => {
  keepsPayloads(() => openStore(folder));
  keepsArchives(() => openStore(folder));
});

describe('S3', () => {
  let server: S3Server | undefined;
  beforeAll(async () => {
    server = await startS3Server();
  }, 240_000);
  afterAll(async () => await server?.close());
  beforeEach((context) => context.skip(!server));

  keepsPayloads(() => openStore(server?.location ?? ''));
  keepsArchives(() => openStore(server?.location ?? ''));
});
