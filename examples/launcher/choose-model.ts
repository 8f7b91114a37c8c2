import { openaiProvider, type ModelProvider, type PriceTable } from 'cadenza/worker';
import {
  OFFLINE_MODEL_NOTICE,
  startOfflineModel,
  type OfflineModel,
} from '../../src/dev/offline-model/start-offline-model.ts';

/** The model a program works with. */
export interface ChosenModel {
  name: string;
  /** What people are told about it. */
  notice: string;
  /** Whether it is the stand-in that is not a language model. */
  isOffline: boolean;
  provider: ModelProvider;
  prices: PriceTable;
  close(): Promise<void>;
}

/** The model that the environment names, or where it names none an offline stand-in: the program's own, or the general one. */
export async function chooseModel(
  env: NodeJS.ProcessEnv = process.env,
  startOffline: () => Promise<OfflineModel> = startOfflineModel,
): Promise<ChosenModel> {
  if (env.OPENAI_API_KEY) {
    const provider = openaiProvider();
    const name = provider.defaultModel;
    const where = env.OPENAI_BASE_URL ? ` at ${hostOf(env.OPENAI_BASE_URL)}` : '';
    return {
      name,
      notice: `${name}${where}`,
      isOffline: false,
      provider,
      prices: {},
      close: async () => undefined,
    };
  }
  const offline = await startOffline();
  const provider = openaiProvider({ apiKey: 'none', baseURL: offline.baseURL, model: offline.model });
  const ignored = ['OPENAI_BASE_URL', 'OPENAI_MODEL'].filter((name) => env[name]);
  const hint =
    ignored.length > 0 ? ` (${ignored.join(' and ')} count only together with OPENAI_API_KEY.)` : '';
  return {
    name: offline.model,
    notice: `${OFFLINE_MODEL_NOTICE}${hint}`,
    isOffline: true,
    provider,
    prices: { [offline.model]: { input: 0, output: 0 } },
    close: async () => await offline.close(),
  };
}

/** A base URL may hold a key. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'OPENAI_BASE_URL';
}
