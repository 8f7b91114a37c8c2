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
} from '../protocol/protocol.ts';
import { tenancyNames, type SlotAnswer, type SlotAsk } from '../protocol/tenancy.ts';
import { callModel } from './turn/call-model.ts';
import { carryOver } from './turn/carry-over.ts';
import { checkArguments } from './tools/check-arguments.ts';
import { executeTool } from './tools/execute-tool.ts';
import { openRuns, takeSlot } from './limits/slots.ts';
import { storeArchive } from './history/store-archive.ts';
import type { ActivityDependencies } from './dependencies.ts';

/** The activities that agent runs call, by the names under which the workflow knows them. */
export function createActivities(dependencies: ActivityDependencies) {
  const activity =
    <Input, Result>(work: (dependencies: ActivityDependencies, input: Input) => Promise<Result>) =>
    async (input: Input): Promise<Result> => {
      try {
        return await work(dependencies, input);
      } catch (thrown) {
        // What is thrown is recorded, logged and shown.
        throw dependencies.redactor.error(thrown);
      }
    };
  return {
    [names.callModel]: activity<CallModelInput, ModelTurn>(callModel),
    [names.executeTool]: activity<ExecuteToolInput, ToolResult>(counted),
    [names.carryOver]: activity<CarryOverInput, CarryOverResult>(carryOver),
    [names.checkArguments]: activity<CheckArgumentsInput, CheckedArguments>(checkArguments),
    [names.storeArchive]: activity<ArchiveRequest, ArchiveOutcome>(storeArchive),
    [tenancyNames.takeSlot]: activity<SlotAsk, SlotAnswer>(takeSlot),
    [tenancyNames.openRuns]: activity<string[], string[]>(openRuns),
  };
}

async function counted(dependencies: ActivityDependencies, input: ExecuteToolInput): Promise<ToolResult> {
  const from = performance.now();
  let result: ToolResult | undefined;
  try {
    result = await executeTool(dependencies, input);
    return result;
  } finally {
    const seconds = (performance.now() - from) / 1_000;
    dependencies.metrics.toolCall(input.agent, input.tool, seconds, result);
  }
}
