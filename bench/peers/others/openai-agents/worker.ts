import { OpenAIProvider } from '@openai/agents-openai';
import { OpenAIAgentsPlugin } from '@temporalio/openai-agents';
import OpenAI from 'openai';
import { createPeerWorker, type PeerWorker } from '../peer-worker.ts';
import type { PeerPlace } from '../../peer-place.ts';

/** The plugin as the package's README sets it up; the model is asked by Chat Completions, as by all contenders. */
export function createPlugin(baseURL: string): OpenAIAgentsPlugin {
  const client = new OpenAI({ baseURL, apiKey: 'none' });
  return new OpenAIAgentsPlugin({
    modelProvider: new OpenAIProvider({ openAIClient: client as never, useResponses: false }),
  });
}

export const workflows = new URL('./workflows.cjs', import.meta.url);

export async function createContender(place: PeerPlace): Promise<PeerWorker> {
  return await createPeerWorker(place, workflows, [createPlugin(place.baseURL)]);
}
