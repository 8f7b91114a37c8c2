import { setCurrentDetails } from '@temporalio/workflow';
import type { CallPlan, Decision, RunStatus, RunTotals } from '../../protocol/protocol.ts';

/** Shows the run's state in the Web UI, as Markdown. */
export function showDetails(status: RunStatus, { usage, cost, turns }: RunTotals): void {
  const tokens = `${usage.input} in${usage.cached ? ` (${usage.cached} cached)` : ''}, ${usage.output} out`;
  const rows = [
    ['Agent', status.agent],
    ['Turn', String(turns)],
    ['Last decision', status.decision ?? 'none yet'],
    ['Tokens', tokens],
    ['Cost', cost === null ? 'unknown' : `$${cost.toFixed(4)}`],
  ];
  setCurrentDetails(
    ['| | |', '|---|---|', ...rows.map(([name, value]) => `| **${name}** | ${value} |`)].join('\n'),
  );
}

function nameOf(call: CallPlan): string {
  if ('refused' in call) return 'a refused call';
  if ('task' in call) return `${call.task}_agent`;
  return 'delegate' in call ? call.delegate : call.tool;
}

/** What a reply decided, in a few words. */
export function describeDecision(decision: Decision): string {
  switch (decision.kind) {
    case 'calls': {
      const names = decision.calls.map((call) => nameOf(call));
      return `call ${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`;
    }
    case 'handoff':
      return `hand over to ${decision.agent}`;
    case 'output':
      return 'done';
    case 'compact':
      return 'shorten the conversation';
    case 'correct':
      return 'asked to mend its reply';
    case 'end':
      return `end: ${decision.type}`;
    default:
      return 'unknown';
  }
}
