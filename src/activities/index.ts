import type { Registry } from '../agents/registry.ts';
import {
  names,
  type CallModelInput,
  type ExecuteToolInput,
  type ModelTurn,
  type ToolResult,
} from '../protocol.ts';
import type { ActivityWatch } from './activity-watch.ts';
import { callModel } from './call-model.ts';
import { executeTool } from './execute-tool.ts';
import type { ModelProvider } from './models/model.ts';
import type { PriceTable } from './models/prices.ts';
import type { TranscriptStore } from './transcript-store.ts';

/** What the activities of one worker share. */
export interface ActivityDependencies {
  registry: Registry;
  provider: ModelProvider;
  store: TranscriptStore;
  prices: PriceTable;
  watch: ActivityWatch;
}

/** The activities that agent runs call, by the names under which the workflow knows them. */
export function createActivities(dependencies: ActivityDependencies) {
  return {
    [names.callModel]: async (input: CallModelInput): Promise<ModelTurn> =>
      await callModel(dependencies, input),
    [names.executeTool]: async (input: ExecuteToolInput): Promise<ToolResult> =>
      await executeTool(dependencies, input),
  };
}
