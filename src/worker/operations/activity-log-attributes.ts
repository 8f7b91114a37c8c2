import type { ActivityInterceptors } from '@temporalio/worker';
import type { Context } from '@temporalio/activity';
import { names } from '../../protocol/protocol.ts';

const ours: ReadonlySet<string> = new Set([
  names.callModel,
  names.executeTool,
  names.carryOver,
  names.checkArguments,
  names.archiveRun,
  names.storeArchive,
]);

/** Adds agent, turn and tool to every line that an activity of Cadenza's logs. Temporal adds the run by itself. */
export function activityLogAttributes({ info }: Context): ActivityInterceptors {
  if (!ours.has(info.activityType)) return {};
  const turn = /(\d+)/.exec(info.activityId)?.[1];
  let facts: Record<string, unknown> = turn === undefined ? {} : { turn: Number(turn) };
  return {
    inbound: {
      async execute(input, next) {
        const { agent, tool } = (input.args[0] ?? {}) as { agent?: unknown; tool?: unknown };
        facts = {
          ...facts,
          ...(typeof agent === 'string' && { agent }),
          ...(typeof tool === 'string' && { tool }),
        };
        return await next(input);
      },
    },
    outbound: {
      getLogAttributes: (input, next) => next({ ...input, ...facts }),
    },
  };
}
