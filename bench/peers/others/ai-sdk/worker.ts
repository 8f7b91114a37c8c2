import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { AiSdkPlugin } from '@temporalio/ai-sdk';
import { createPeerWorker, type PeerWorker } from '../peer-worker.ts';
import type { PeerPlace } from '../../peer-place.ts';

/** The plugin as the package's documents set it up. */
export function createPlugin(baseURL: string): AiSdkPlugin {
  const provider = createOpenAICompatible({ name: 'bench', baseURL, apiKey: 'none' });
  return new AiSdkPlugin({ modelProvider: provider as never });
}

export const workflows = new URL('./workflows.ts', import.meta.url);

export async function createContender(place: PeerPlace): Promise<PeerWorker> {
  return await createPeerWorker(place, workflows, [createPlugin(place.baseURL)]);
}
