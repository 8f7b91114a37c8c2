import { describeAttachment, type Attachment } from '../protocol/attachments.ts';
import type { RunEvent } from '../client/run-events.ts';
import { brief, plain, styled } from './terminal.ts';

/**
 * An event in one line for people; `undefined` for one that says nothing new. In a conversation (`talks`) the answers are told as they come: no result
 * repeats them.
 */
export function describeEvent(event: RunEvent, width = 140, talks = false): string | undefined {
  const text = (value: unknown) => brief(value, width);
  switch (event.type) {
    case 'started':
      return `${styled('bold', event.agent)} begins${event.input === undefined ? '' : `: ${text(event.input)}`}${attached(event)}`;
    case 'continued':
      return styled('dim', 'continues as a new run');
    case 'turn-started':
      return styled('dim', `turn ${event.turn}`);
    case 'text':
      return undefined;
    case 'replied':
      return describeReply(event, text, talks);
    case 'compacted':
      return styled(
        'dim',
        `${event.items} items of the conversation were ${event.summary ? 'summarised' : 'left out'}`,
      );
    case 'tool-started':
      return `  ${styled('cyan', event.tool)} ${text(event.input ?? {})}`;
    case 'tool-finished':
      return `  ${styled(event.error ? 'red' : 'green', event.tool)} → ${text(event.output)}${attached(event)}`;
    case 'tool-failed':
      return `  ${styled('red', event.tool)} failed: ${text(event.message)}`;
    case 'agent-started':
      return `  ${event.handoff ? 'hands over to' : 'asks'} ${styled('bold', event.agent)} (${event.workflowId})`;
    case 'agent-finished':
      return `  ${styled('bold', event.agent)} answers: ${text(event.output)}`;
    case 'agent-failed':
      return `  ${styled('bold', event.agent)} ${styled('red', 'failed')}: ${text(event.message)}`;
    case 'waiting':
      return styled('yellow', `  waits for a person: ${event.tool} (${event.call})`);
    case 'decided':
      return `  ${event.verdict}${by(event)} ${event.reason ? text(event.reason) : ''}`.trimEnd();
    case 'message':
      return `${styled('bold', 'message')}: ${text(event.text)}${attached(event)}`;
    case 'said':
      return `${styled('bold', event.by ?? 'a person')} says: ${text(event.text)}`;
    case 'paused':
    case 'resumed':
    case 'closed':
      return styled('yellow', `${event.type}${by(event)}`);
    case 'stopped':
      return styled('yellow', `the answer is stopped${by(event)}`);
    case 'policy-changed':
      return styled('yellow', `policy changed${by(event)}: ${text(policyOf(event))}`);
    case 'taken-over':
      return styled('yellow', `taken over${by(event)}`);
    case 'handed-back':
      return styled('yellow', `handed back${by(event)}`);
    case 'cancel-requested':
      return styled('yellow', `cancel requested${by(event)}${event.reason ? `: ${text(event.reason)}` : ''}`);
    case 'completed':
      return `${styled('green', 'completed')}: ${text(event.result.output)}`;
    case 'ended':
      return styled(
        'red',
        `${event.how}${event.failure ? `: ${event.failure.type}: ${text(event.failure.message)}` : ''}`,
      );
  }
}

function describeReply(
  { reply, decision, problem }: Extract<RunEvent, { type: 'replied' }>,
  text: (value: unknown) => string,
  talks: boolean,
): string | undefined {
  const said = reply.map((item) => (item.type === 'message' ? item.text : '')).join('');
  if (problem !== undefined) return styled('yellow', `  asked to mend: ${text(problem)}`);
  if (decision === 'output')
    return said !== '' && talks ? `  ${styled('green', 'answers')}: ${text(said)}` : undefined;
  return said === '' ? undefined : `  ${text(said)}`;
}

function policyOf({ added, removed }: Extract<RunEvent, { type: 'policy-changed' }>): string {
  return [...added.map((rule) => JSON.stringify(rule)), ...removed.map((id) => `without ${id}`)].join(', ');
}

/** Images and files that go along, in a few words. */
function attached({ attachments = [] }: { attachments?: Attachment[] }): string {
  return attachments.map((each) => ` ${styled('dim', plain(brief(describeAttachment(each), 120)))}`).join('');
}

function by(event: { by?: string }): string {
  return event.by === undefined ? '' : ` by ${brief(event.by, 60)}`;
}
