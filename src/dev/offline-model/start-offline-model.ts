import { createModelServer } from '../../testing/model-server.ts';
import { respondByRules } from './respond.ts';

/** The name under which the offline model is asked for and answers. */
export const OFFLINE_MODEL = 'offline-rules';

/** What a program that uses the offline model tells people. */
export const OFFLINE_MODEL_NOTICE =
  'offline-rules is not a language model: it searches, quotes and scores by plain rules. Set OPENAI_API_KEY to use a real one.';

export interface OfflineModel {
  baseURL: string;
  model: typeof OFFLINE_MODEL;
  close(): Promise<void>;
}

/**
 * Starts the stand-in for a language model, on 127.0.0.1 and OpenAI's protocol: rules over what each request itself holds,
 * the same answer for the same request.
 */
export async function startOfflineModel(options: { port?: number } = {}): Promise<OfflineModel> {
  const server = await createModelServer({
    ...options,
    respond: (request) => ({ ...respondByRules(request), model: OFFLINE_MODEL }),
    record: false,
    models: [{ id: OFFLINE_MODEL, ownedBy: 'cadenza: plain rules, not a language model' }],
    systemFingerprint: `${OFFLINE_MODEL}: not a language model`,
  });
  return { baseURL: server.baseURL, model: OFFLINE_MODEL, close: () => server.close() };
}
