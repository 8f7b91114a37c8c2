import {
  names,
  type ArchiveOutcome,
  type ArchiveRequest,
  type CallModelInput,
  type CarryOverInput,
  type CarryOverResult,
  type CheckArgumentsInput,
  type CheckedArguments,
  type ExecuteToolInput,
  type ModelTurn,
  type ToolResult,
} from '../protocol.ts';
import { tenancyNames, type SlotAnswer, type SlotAsk } from '../tenancy.ts';
import { callModel } from './call-model.ts';
import { carryOver } from './carry-over.ts';
import { checkArguments } from './check-arguments.ts';
import { executeTool } from './execute-tool.ts';
import { openRuns, takeSlot } from './slots.ts';
import { storeArchive } from './store-archive.ts';
import type { ActivityDependencies } from './dependencies.ts';

/** The activities that agent runs call, by the names under which the workflow knows them. */
export function createActivities(dependencies: ActivityDependencies) {
  return {
    [names.callModel]: async (input: CallModelInput): Promise<ModelTurn> =>
      await callModel(dependencies, input),
    [names.executeTool]: async (input: ExecuteToolInput): Promise<ToolResult> =>
      await executeTool(dependencies, input),
    [names.carryOver]: async (input: CarryOverInput): Promise<CarryOverResult> =>
      await carryOver(dependencies, input),
    [tenancyNames.takeSlot]: async (ask: SlotAsk): Promise<SlotAnswer> => await takeSlot(ask),
    [tenancyNames.openRuns]: async (ids: string[]): Promise<string[]> => await openRuns(ids),
    [names.storeArchive]: async (input: ArchiveRequest): Promise<ArchiveOutcome> =>
      await storeArchive(dependencies, input),
    [names.checkArguments]: async (input: CheckArgumentsInput): Promise<CheckedArguments> =>
      await checkArguments(dependencies, input),
  };
}
