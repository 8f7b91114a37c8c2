/** Each line after a comment must be an error, or the comment is one. */
import { defineAgent } from 'cadenza';
import type { CadenzaClient } from 'cadenza/client';
import { createModelServer } from 'cadenza/testing';
import { CadenzaPlugin } from 'cadenza/worker';
import { proxyAgents } from 'cadenza/workflow';
import type * as agents from './agents.js';

const { forecaster } = proxyAgents<typeof agents>();

export async function mistakes(client: CadenzaClient, agent: typeof agents.forecaster): Promise<void> {
  // @ts-expect-error a field's type
  await forecaster({ city: 7 });
  // @ts-expect-error a field of the output
  await forecaster({ city: 'Rome' }).then((output) => output.fahrenheit);
  // @ts-expect-error an agent's name
  await proxyAgents<typeof agents>().forecasters({ city: 'Rome' });
  // @ts-expect-error a field's name
  await client.start(agent, { town: 'Rome' });
  // @ts-expect-error an option that does not exist
  defineAgent({ name: 'a', instructions: 'Go.', tool: [] });
  // @ts-expect-error an option that is missing
  await createModelServer({});
  // @ts-expect-error an option that is missing
  void new CadenzaPlugin({});
}
