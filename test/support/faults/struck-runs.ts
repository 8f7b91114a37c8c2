import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle, WaitingCall } from 'cadenza/client';
import { expect, vi } from 'vitest';
import type { ModelServerReply, ModelServerRequest } from '../../../src/testing/model-server.ts';
import type { LedgerEntry } from '../processes/ledger.ts';
import { expectNothingFinishedRepeated, requestsByBody } from './accounts.ts';
import { clerkModel, places, positionIn, type Place } from './clerk-model.ts';
import { patienceMs, startScene, type Scene, type SceneOptions } from './scene.ts';

/** Six runs of the clerk, by the places where something happens to them. */
export type StruckRuns = Record<Place, RunHandle<unknown>>;

/** A scene with the clerk, who has had each of the six runs undisturbed. */
export interface ClerkScene extends Scene {
  /** What the undisturbed runs came to. */
  readonly undisturbed: Readonly<Record<Place, string>>;
  /** Whether the model waits before it answers the second turn of the run in the place `model`. */
  holdModel: boolean;
}

/** Starts such a scene; it has no worker any more. */
export async function startClerkScene(
  options: Omit<SceneOptions, 'agents' | 'respond'> = {},
): Promise<ClerkScene> {
  let held = false;
  const respond = async (request: ModelServerRequest): Promise<ModelServerReply> => {
    const { place, turn } = positionIn(request);
    while (held && place === 'model' && turn === 2 && !request.aborted.aborted) await delay(50);
    return clerkModel(request);
  };
  const scene = await startScene({ agents: 'crash-agents.ts', respond, ...options });
  const undisturbed = {} as Record<Place, string>;
  {
    await using _calm = await scene.worker();
    const run = async (place: Place) =>
      (undisturbed[place] = await outcomeOf(await scene.client.start('clerk', place)));
    await Promise.all(places.map(run));
  }
  scene.model.requests.length = 0;
  return {
    ...scene,
    undisturbed,
    get holdModel() {
      return held;
    },
    set holdModel(hold) {
      held = hold;
    },
  };
}

/** Starts runs of the clerk and waits until each is in its place: its tool has had its effect, or its model is asked. */
export async function startRuns(scene: Scene, which: readonly Place[]): Promise<Partial<StruckRuns>> {
  const runs: Partial<StruckRuns> = {};
  for (const place of which) runs[place] = await scene.client.start('clerk', place);
  for (const place of which) {
    if (place !== 'model') await scene.reached(`after ${place}`, runs[place]?.workflowId);
    else await vi.waitFor(() => expect(askedFor(scene, place)).toHaveLength(2), { timeout: patienceMs });
  }
  return runs;
}

/**
 * Waits for the runs' ends, and plays the person who is asked. Each must have come to what an undisturbed one comes to, or, where a `once` effect is
 * uncertain, to what its author chose; and the world outside must have seen each effect as its tool promises. `isUncertain` says which of the
 * two it must be; without it, either will do.
 */
export async function expectSettled(
  scene: ClerkScene,
  runs: StruckRuns,
  { isUncertain }: { isUncertain?: boolean } = {},
): Promise<void> {
  const over = new AbortController();
  const person = answerThatItHappened(runs.wire, over.signal);
  const outcomes = {} as Record<Place, string>;
  for (const place of places) outcomes[place] = await outcomeOf(runs[place]);
  over.abort();
  const wasAsked = await person;
  const requests = requestsByBody(scene);
  for (const place of places) await expectNothingFinishedRepeated(scene, runs[place].workflowId, requests);

  for (const place of ['model', 'read', 'charge', 'wire'] as const)
    expect(outcomes[place]).toBe(scene.undisturbed[place]);
  const uncertain = {
    send: /^EffectUncertain: The tool "send" failed.*look before you start the run again/s,
    post: /^found 1, .*It may or may not have taken effect; do not repeat it blindly/s,
  };
  for (const place of ['send', 'post'] as const) {
    const isAsUndisturbed = outcomes[place] === scene.undisturbed[place];
    if (!isAsUndisturbed) expect(outcomes[place]).toMatch(uncertain[place]);
    if (isUncertain !== undefined) expect(isAsUndisturbed, outcomes[place]).toBe(!isUncertain);
  }
  if (isUncertain !== undefined) expect(wasAsked).toBe(isUncertain);

  for (const place of ['send', 'post', 'wire'] as const)
    expect(effectsOf(scene, runs[place], place), place).toHaveLength(1);
  expect(effectsOf(scene, runs.read, 'read').length).toBeGreaterThanOrEqual(1);
  // The target of an idempotent effect knows it by its key.
  expect(new Set(effectsOf(scene, runs.charge, 'charge').map(({ key }) => key)).size).toBe(1);
  for (const place of places) expect(effectsOf(scene, runs[place], 'look-up')).toHaveLength(1);
}

/** What the run's tool did to the world. */
export function effectsOf(scene: Scene, { workflowId }: RunHandle<unknown>, tool: string): LedgerEntry[] {
  return scene.ledger.entries.filter((entry) => entry.workflowId === workflowId && entry.tool === tool);
}

/** The run's output, or the name and the words of its failure. */
async function outcomeOf(run: RunHandle<unknown>): Promise<string> {
  try {
    return String((await run.result()).output);
  } catch (thrown) {
    const { cause } = thrown as { cause?: { type?: string; message?: string } };
    return `${cause?.type}: ${cause?.message}`;
  }
}

/** Says of a call that is uncertain that it happened, as the ledger has it; returns whether there was one. */
async function answerThatItHappened(run: RunHandle<unknown>, signal: AbortSignal): Promise<boolean> {
  let asked = false;
  while (!signal.aborted) {
    // A query may meet a worker that is dead or frozen: what waits is found in the next round.
    const waiting: WaitingCall[] = await run.approvals().catch(() => []);
    for (const { id, digest, tool, uncertain } of waiting) {
      expect({ tool, uncertain }).toMatchObject({ tool: 'wire', uncertain: { why: expect.any(String) } });
      asked = true;
      await run
        .decide(id, { verdict: 'result', output: 'wired 2', by: 'Ada', digest })
        .catch(() => undefined);
    }
    await delay(300);
  }
  return asked;
}

function askedFor(scene: Scene, place: Place): number[] {
  return scene.model.requests.flatMap(({ body }) => {
    const position = body && positionIn(body);
    return position?.place === place ? [position.turn] : [];
  });
}
