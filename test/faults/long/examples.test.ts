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
const example = (name: string) => new URL(`../../../examples/${name}/worker.ts`, import.meta.url);

/** When a worker is killed that asks the model: while it waits for the answer, or a moment after it was sent. */
type Moment = 'in the call' | 'after the call';

/** A scene whose worker is killed at every request that the model has not had before, and another one is started. */
class Killing {
  kills = 0;
  /** Nothing is killed before the undisturbed run is over. */
  isOn = false;
  private readonly known = new Set<string>();
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
      void delay(isWaiting ? 0 : this.random() * 150).then(async () => await this.kill());
      return isWaiting ? { hang: true } : answer(request);
    };
  }

  private async kill(): Promise<void> {
    const { workers } = this.scene;
    this.kills += 1;
    workers.at(-1)?.kill('SIGKILL');
    await this.scene.worker({ program: this.program });
  }
}

test.each(['in the call', 'after the call'] as const)(
  'a report whose worker is killed at every model call, %s, is the report that an undisturbed one is',
  { timeout },
  async (moment) => {
    const folder = mkdtempSync(join(tmpdir(), 'cadenza-report-'));
    const lines = [
      '# Retries',
      '',
      'A failed call is retried three times.',
      '',
      'After the third time the run fails.',
    ];
    writeFileSync(join(folder, 'guide.md'), lines.join('\n'));
    const killing = new Killing(moment, example('research-report'));
    await using server = await startOwnServer();
    await using scene = await startScene({
      agents: 'own-agents.ts',
      address: server.address,
      env: { RESEARCH_DOCS: folder },
      respond: killing.respond(respondByRules),
    });
    killing.scene = scene;
    await scene.worker({ program: example('research-report') });
    const report = async (workflowId: string) => {
      const run = await startReport(
        scene.client,
        { question: 'How often is a failed call retried?' },
        { workflowId },
      );
      return await run.result();
    };
    const undisturbed = await report('undisturbed');
    scene.model.requests.length = 0;
    killing.isOn = true;
    const { usage, ...disturbed } = await report('disturbed');
    const { usage: _usage, ...expected } = undisturbed;
    expect(disturbed).toEqual(expected);
    expect(usage.output).toBe(undisturbed.usage.output);
    expect(killing.kills).toBeGreaterThanOrEqual(undisturbed.turns);
    await expectNothingFinishedRepeated(scene, 'disturbed');
    rmSync(folder, { recursive: true, force: true });
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
    expect(killing.kills).toBeGreaterThanOrEqual(3);
    expect(shop.refundsOf('A-1034')).toMatchObject([{ amount: 20 }]);
    await expectNothingFinishedRepeated(scene, 'disturbed');
    shop.close();
    rmSync(folder, { recursive: true, force: true });
  },
);
