import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { triage } from '../../../examples/support-desk/agents.ts';
import { taskQueue as supportQueue } from '../../../examples/support-desk/client.ts';
import { ShopDatabase } from '../../../examples/support-desk/database.ts';
import { answerByRules } from '../../../examples/support-desk/offline/offline-desk.ts';
import { startReport } from '../../../examples/research-report/client.ts';
import { respondByRules } from '../../../src/dev/offline-model/respond.ts';
import type {
  ModelServerOptions,
  ModelServerReply,
  ModelServerRequest,
} from '../../../src/testing/model-server.ts';
import { expectNothingFinishedRepeated } from '../../support/faults/accounts.ts';
import { startOwnServer } from '../../support/faults/own-server.ts';
import { startScene, type Scene } from '../../support/faults/scene.ts';
import { seeded } from '../../support/faults/seeded.ts';

const timeout = 900_000;
const heldReportWorker = new URL('../../support/processes/held-report-worker.ts', import.meta.url);
const example = (name: string) => new URL(`../../../examples/${name}/worker.ts`, import.meta.url);

/** When a worker is killed that asks the model: while it waits for the answer, or a moment after it was sent. */
type Moment = 'in the call' | 'after the call';

/** A scene whose worker is killed at every request that the model has not had before, and another one is started. */
class Killing {
  /** Nothing is killed before the undisturbed run is over. */
  isOn = false;
  private readonly known = new Set<string>();
  private readonly killings: Promise<void>[] = [];
  private readonly random = seeded(17);
  private readonly moment: Moment;
  private readonly program: URL;
  scene!: Scene;

  constructor(moment: Moment, program: URL) {
    this.moment = moment;
    this.program = program;
  }

  /** The model: it answers, and has the worker killed. */
  respond(answer: (request: ModelServerRequest) => ModelServerReply): ModelServerOptions['respond'] {
    return (request) => {
      const key = JSON.stringify(request.messages);
      if (!this.isOn || this.known.has(key)) return answer(request);
      this.known.add(key);
      const isWaiting = this.moment === 'in the call';
      const moment = delay(isWaiting ? 0 : this.random() * 150);
      this.killings.push(moment.then(async () => await this.kill()));
      return isWaiting ? { hang: true } : answer(request);
    };
  }

  /** Waits for the last of them, which may come when the run is over; returns how many there were. */
  async over(): Promise<number> {
    await Promise.all(this.killings);
    return this.killings.length;
  }

  private async kill(): Promise<void> {
    const { workers } = this.scene;
    workers.at(-1)?.kill('SIGKILL');
    await this.scene.worker({ program: this.program });
  }
}

function folderOfDocuments() {
  const folder = mkdtempSync(join(tmpdir(), 'cadenza-report-'));
  const lines = [
    '# Retries',
    '',
    'A failed call is retried three times.',
    '',
    'After the third time the run fails.',
  ];
  writeFileSync(join(folder, 'guide.md'), lines.join('\n'));
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

async function reportOf(scene: Scene, workflowId: string) {
  const question = 'How often is a failed call retried?';
  return await (await startReport(scene.client, { question }, { workflowId })).result();
}

test.each(['in the call', 'after the call'] as const)(
  'a report whose worker is killed at every model call, %s, is the report that an undisturbed one is',
  { timeout },
  async (moment) => {
    using library = folderOfDocuments();
    const killing = new Killing(moment, example('research-report'));
    await using server = await startOwnServer();
    await using scene = await startScene({
      agents: 'own-agents.ts',
      address: server.address,
      env: { RESEARCH_DOCS: library.folder },
      respond: killing.respond(respondByRules),
    });
    killing.scene = scene;
    await scene.worker({ program: example('research-report') });
    const undisturbed = await reportOf(scene, 'undisturbed');
    scene.model.requests.length = 0;
    killing.isOn = true;
    const { usage, ...disturbed } = await reportOf(scene, 'disturbed');
    const { usage: _usage, ...expected } = undisturbed;
    expect(disturbed).toEqual(expected);
    expect(usage.output).toBe(undisturbed.usage.output);
    expect(await killing.over()).toBeGreaterThanOrEqual(undisturbed.turns);
    await expectNothingFinishedRepeated(scene, 'disturbed');
  },
);

/** Kills the worker whenever a call stays in it that has not stayed before, and starts another one; returns the names of the calls. */
async function killWhereCallsStay(scene: Scene, moment: string, signal: AbortSignal): Promise<string[]> {
  const stays = () => scene.ledger.entries.filter(({ tool }) => tool.startsWith('stays in '));
  let killed: number | undefined;
  while (!signal.aborted) {
    const last = stays().at(-1);
    if (last !== undefined && last.pid !== killed) {
      killed = last.pid;
      scene.workers.at(-1)?.kill('SIGKILL');
      await scene.worker({ program: heldReportWorker, env: { TEST_MOMENT: moment } });
    }
    await delay(100);
  }
  return stays().map(({ tool }) => tool.slice('stays in '.length));
}

test.each(['before', 'after'] as const)(
  'a report whose worker is killed in every tool call and activity, %s it has done its work, is the report that an undisturbed one is',
  { timeout },
  async (moment) => {
    using library = folderOfDocuments();
    await using server = await startOwnServer();
    await using scene = await startScene({
      agents: 'own-agents.ts',
      address: server.address,
      env: { RESEARCH_DOCS: library.folder },
      respond: respondByRules,
    });
    const first = await scene.worker({ program: heldReportWorker });
    const undisturbed = await reportOf(scene, 'undisturbed');
    const calls = scene.ledger.entries.map(({ tool }) => tool);
    expect(new Set(calls)).toEqual(new Set(['search', 'read', 'verify']));
    await first[Symbol.asyncDispose]();
    scene.model.requests.length = 0;

    await scene.worker({ program: heldReportWorker, env: { TEST_MOMENT: moment } });
    const over = new AbortController();
    const killing = killWhereCallsStay(scene, moment, over.signal);
    const disturbed = await reportOf(scene, 'disturbed').finally(() => over.abort());
    expect(disturbed).toEqual(undisturbed);
    expect((await killing).toSorted()).toEqual(calls.toSorted());
    // None of them does more than read: where it had done its work it does it again.
    const done = scene.ledger.entries.filter(
      ({ workflowId, tool }) => workflowId.startsWith('disturbed') && !tool.startsWith('stays in '),
    );
    expect(done).toHaveLength(calls.length * (moment === 'before' ? 1 : 2));
    await expectNothingFinishedRepeated(scene, 'disturbed');
  },
);

test(
  'a customer whose desk’s worker is killed in every model call is refunded once, and answered as an undisturbed one is',
  { timeout },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cadenza-desk-'));
    const file = join(folder, 'shop.db');
    const shop = ShopDatabase.open(file);
    const killing = new Killing('in the call', example('support-desk'));
    await using server = await startOwnServer();
    await using scene = await startScene({
      agents: 'own-agents.ts',
      address: server.address,
      env: { SUPPORT_DB: file },
      respond: killing.respond(answerByRules),
    });
    killing.scene = scene;
    await scene.worker({ program: example('support-desk') });
    const refund = async (id: string, order: string) => {
      const text = `Please refund 20 euros for ${order}.`;
      const sent = await scene.client.send(triage, id, text, { taskQueue: supportQueue });
      return JSON.stringify((await sent.reply()).output)
        .replaceAll(order, 'the order')
        .replace(/€\d+\.\d+ of it are left/, '… left');
    };
    const undisturbed = await refund('undisturbed', 'A-1031');
    scene.model.requests.length = 0;
    killing.isOn = true;
    expect(await refund('disturbed', 'A-1034')).toBe(undisturbed);
    expect(await killing.over()).toBeGreaterThanOrEqual(3);
    expect(shop.refundsOf('A-1034')).toMatchObject([{ amount: 20 }]);
    await expectNothingFinishedRepeated(scene, 'disturbed');
    shop.close();
    rmSync(folder, { recursive: true, force: true });
  },
);
