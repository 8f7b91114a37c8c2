import { afterEach, expect, test } from 'vitest';
import { createClient as createRedis } from '@redis/client';
import { defineAgent } from 'cadenza';
import { createClient, type CadenzaClient, type RunEvent } from 'cadenza/client';
import { openaiProvider } from 'cadenza/worker';
import { readEnvironment } from '../../src/worker/environment.ts';
import { RedisTextReader } from '../../src/live-text/redis-text-reader.ts';
import { RedisTextSink } from '../../src/live-text/redis-text-sink.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';
import { hasRedis, startRedis } from '../support/redis.ts';
import { slowModel } from '../support/slow-model.ts';

const writer = defineAgent({ name: 'writer', instructions: 'Write.', model: 'slow:any' });
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function reading(client: CadenzaClient, redis: string): Promise<CadenzaClient> {
  const { connection, options } = client.temporal;
  const own = await createClient({
    connection,
    namespace: options.namespace,
    liveText: { redis: { url: redis } },
  });
  cleanups.push(() => own.close());
  return own;
}

function follow(client: CadenzaClient, id: string) {
  const seen: RunEvent[] = [];
  const watching = (async () => {
    for await (const event of client.get(id).events({ text: true })) seen.push(event);
  })();
  const text = (attempt: number) =>
    seen
      .flatMap((event) => (event.type === 'text' && event.attempt === attempt ? [event.text] : []))
      .join('');
  return { seen, watching, text };
}

const patiently = { timeout: 30_000, interval: 20 };

const withRedis = test.skipIf(!hasRedis);

withRedis(
  'R2 R5: is seen by every reader before the reply is finished, is void when another attempt begins, and stands in no history',
  async () => {
    await using redis = await startRedis();
    using model = await slowModel();
    await using harness = await startHarness({
      agents: [writer],
      providers: { slow: openaiProvider({ apiKey: 'k', baseURL: model.baseURL, streamIdle: '1 minute' }) },
      liveText: { redis: { url: redis.url, expire: '10 minutes' } },
      respond: () => ({ text: '' }),
    });
    const client = await reading(harness.client, redis.url);
    const run = await harness.client.start(writer, 'go');
    const one = follow(client, run.workflowId);
    const other = follow(await reading(harness.client, redis.url), run.workflowId);
    await expect.poll(() => model.asked.length, patiently).toBe(1);
    for (const piece of ['Once ', 'upon ', 'a ', 'tïme']) model.write(model.asked[0], piece);
    for (const { text } of [one, other]) await expect.poll(() => text(1), patiently).toBe('Once upon a tïme');
    model.asked[0]?.destroy();
    await expect.poll(() => model.asked.length, patiently).toBe(2);
    model.write(model.asked[1], 'There was');
    for (const { text } of [one, other]) await expect.poll(() => text(2), patiently).toBe('There was');
    // Who comes now is told the text of the attempt that counts, from its beginning; also in the middle of the turn.
    const late = follow(client, run.workflowId);
    await expect.poll(() => late.text(2), patiently).toBe('There was');
    const begun = one.seen.find(({ type }) => type === 'turn-started')?.cursor ?? '';
    for await (const event of client.get(run.workflowId).events({ text: true, after: begun })) {
      expect(event).toMatchObject({ type: 'text', turn: 1 });
      break;
    }
    const looking = await connected(redis.url);
    const [key = ''] = await looking.keys('cadenza:text:*');
    expect(key).toContain(run.runId);
    expect(await looking.ttl(key)).toBeGreaterThan(500);
    model.write(model.asked[1], ' one.', 'stop');
    expect((await run.result()).output).toBe('There was one.');
    for (const { watching, seen } of [one, other, late]) {
      await watching;
      const kinds = seen.map(({ type }) => type);
      expect(kinds.filter((kind) => kind !== 'text')).toEqual([
        'started',
        'turn-started',
        'replied',
        'completed',
      ]);
      expect(kinds.lastIndexOf('text')).toBeLessThan(kinds.indexOf('replied'));
    }
    await expect.poll(async () => await looking.ttl(key), patiently).toBeLessThanOrEqual(60);
    const history = JSON.stringify(await eventsOf(harness.client, run.workflowId));
    expect(history).not.toContain(Buffer.from('Once upon').toString('base64').slice(0, 10));
    expect(history).not.toContain('redis');
  },
);

withRedis(
  'a Redis that is away delays no call; when it goes in the middle and comes back, the rest is seen',
  async () => {
    await using redis = await startRedis();
    using model = await slowModel();
    await using harness = await startHarness({
      agents: [writer],
      providers: { slow: openaiProvider({ apiKey: 'k', baseURL: model.baseURL, streamIdle: '1 minute' }) },
      liveText: { redis: { url: redis.url } },
      respond: () => ({ text: '' }),
    });
    const client = await reading(harness.client, redis.url);
    const run = await harness.client.start(writer, 'go');
    const { text, watching } = follow(client, run.workflowId);
    await expect.poll(() => model.asked.length, patiently).toBe(1);
    model.write(model.asked[0], 'before');
    await expect.poll(() => text(1), patiently).toBe('before');
    await redis.kill();
    model.write(model.asked[0], ' during', 'stop');
    expect((await run.result()).output).toBe('before during');
    await watching;
    // A call that begins while it is away is made unwatched, and answered.
    const second = await harness.client.start(writer, 'go');
    await expect.poll(() => model.asked.length, patiently).toBe(2);
    model.write(model.asked[1], 'unseen', 'stop');
    expect((await second.result()).output).toBe('unseen');
    await redis.restart();
    // The connection comes back by itself, some call later.
    await expect
      .poll(
        async () => {
          const asked = model.asked.length;
          const next = await harness.client.start(writer, 'go');
          const following = follow(client, next.workflowId);
          await expect.poll(() => model.asked.length, patiently).toBe(asked + 1);
          model.write(model.asked[asked], 'seen again');
          const isSeen = await expect
            .poll(() => following.text(1), { timeout: 2_000 })
            .toBe('seen again')
            .then(() => true)
            .catch(() => false);
          model.write(model.asked[asked], '.', 'stop');
          await next.result();
          return isSeen;
        },
        { timeout: 50_000, interval: 100 },
      )
      .toBe(true);
  },
  120_000,
);

withRedis(
  'a turn’s stream is bounded; what was cut off is not told as if nothing were missing',
  async () => {
    await using redis = await startRedis();
    const sink = new RedisTextSink({ url: redis.url, maxEntries: 100 });
    cleanups.push(() => sink.close());
    const call = { workflowId: 'w', runId: 'r', call: 'turn-1', turn: 1, attempt: 1 };
    const live = await sink.open(call);
    const looking = await connected(redis.url);
    let length = 0;
    // Each piece an entry of its own: the next is written once the one before is stored.
    for (let piece = 0; piece < 320; piece += 1) {
      live.write(`${piece} `);
      if (piece % 8 === 7) {
        const stored = length;
        await expect
          .poll(async () => (length = await looking.xLen('cadenza:text:r:1')), patiently)
          .not.toBe(stored);
      }
    }
    expect(length).toBeLessThanOrEqual(250);
    const told: string[] = [];
    const reader = new RedisTextReader({ url: redis.url });
    cleanups.push(() => reader.close());
    const leaving = new AbortController();
    await reader.watch('r', 1, leaving.signal, ({ text }) => told.push(text));
    const whole = Array.from({ length: 320 }, (_, index) => `${index} `).join('');
    await expect.poll(() => told.join('') === whole || told.length === 0, patiently).toBe(true);
    leaving.abort();
  },
  120_000,
);

withRedis('an attempt that was overtaken, and writes all the same, is not told any more', async () => {
  await using redis = await startRedis();
  const sink = new RedisTextSink({ url: redis.url, prefix: 'own' });
  cleanups.push(() => sink.close());
  const call = { workflowId: 'w', runId: 'r', call: 'turn-7', turn: 7, attempt: 1 };
  const reader = new RedisTextReader({ url: redis.url, prefix: 'own' });
  cleanups.push(() => reader.close());
  const told: string[] = [];
  await reader.watch('r', 7, new AbortController().signal, ({ attempt, offset, text }) =>
    told.push(`${attempt}.${offset}:${text}`),
  );
  const frozen = await sink.open(call);
  frozen.write('a');
  await expect.poll(() => told.join(' '), patiently).toBe('1.0:a');
  const next = await sink.open({ ...call, attempt: 2 });
  next.write('b');
  await expect.poll(() => told.join(' '), patiently).toBe('1.0:a 2.0:b');
  frozen.write('void');
  frozen.end();
  next.write('c');
  next.end();
  await expect.poll(() => told.join(' '), patiently).toBe('1.0:a 2.0:b 2.1:c');
});

test('an address that is none is refused by worker, client and environment, without being repeated', async () => {
  const url = 'http://user:planted-secret@example';
  const { connection } = { connection: {} as never };
  const refused = [
    () => new RedisTextSink({ url }),
    async () => await createClient({ connection, liveText: { redis: { url } } }),
    () => readEnvironment({ CADENZA_AGENTS: './a.js', CADENZA_LIVE_TEXT_REDIS_URL: url }),
  ];
  for (const make of refused) {
    const thrown = await (async () => await make())().catch((error: unknown) => error as Error);
    expect((thrown as Error).message).toContain('redis://host:6379');
    expect((thrown as Error).message).not.toContain('planted-secret');
  }
});

async function connected(url: string) {
  const redis = createRedis({ url });
  redis.on('error', () => undefined);
  await redis.connect();
  cleanups.unshift(async () => redis.destroy());
  return redis;
}
