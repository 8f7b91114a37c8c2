import type { RunEvent } from 'cadenza/client';
import type { Json } from 'cadenza';
import { plural } from './terminal.ts';

const longestArguments = 80;
const longestRemark = 160;
const mostRemarks = 4;

/** Tells what happens in one run: a function that turns each of its events into lines for a terminal. */
export function createNarrator(): (event: RunEvent) => string[] {
  const calls = new Map<string, string>();
  let shownTurn = 0;
  const inTurn = (turn: number, lines: string[]): string[] =>
    lines.map((line) => {
      const label = turn === shownTurn ? '' : `turn ${turn}`;
      shownTurn = turn;
      return `${label.padEnd(8)} ${line}`;
    });
  return (event) => {
    switch (event.type) {
      case 'replied':
        return inTurn(event.turn, describeReply(event));
      case 'tool-started':
        calls.set(event.call, describeCall(event.tool, event.input));
        return [];
      case 'tool-finished': {
        const outcome = event.error
          ? `error: ${oneLine(textOf(event.output), longestRemark)}`
          : resultSize(event.output);
        return inTurn(event.turn, [`${calls.get(event.call) ?? event.tool} → ${outcome}`]);
      }
      case 'tool-failed':
        return inTurn(event.turn, [
          `${calls.get(event.call) ?? event.tool} → failed: ${oneLine(event.message, longestRemark)}`,
        ]);
      case 'cancel-requested':
        return ['asked to cancel'];
      case 'ended':
        return [
          `${event.how}${event.failure ? `: ${event.failure.type}: ${oneLine(event.failure.message, 400)}` : ''}`,
        ];
      default:
        return [];
    }
  };
}

/** A tool call with the first words of its arguments. */
function describeCall(tool: string, input: Json | undefined): string {
  if (input === undefined || input === null || typeof input !== 'object') return tool;
  const values = Object.values(input).filter((value) => value !== null);
  const words = values.map((value) =>
    typeof value === 'string' && values.length === 1 ? `"${value}"` : textOf(value),
  );
  return oneLine(`${tool} ${words.join(' ')}`, longestArguments);
}

function describeReply({
  decision,
  reply,
  problem,
  attempts,
}: Extract<RunEvent, { type: 'replied' }>): string[] {
  const again = attempts > 1 ? ` (attempt ${attempts})` : '';
  if (decision === 'correct')
    return [`asked to mend its reply${again}: ${oneLine(problem ?? '', longestRemark)}`];
  if (decision !== 'output') return attempts > 1 ? [`answered${again}`] : [];
  const text = reply.map((item) => (item.type === 'message' ? item.text : '')).join('');
  const { head, remarks } = describeOutput(parse(text));
  return [
    `done${again}: ${head}`,
    ...remarks.slice(0, mostRemarks).map((remark) => `  - ${oneLine(remark, longestRemark)}`),
  ];
}

/** An output by its properties, lists of remarks with their texts. */
function describeOutput(output: Json): { head: string; remarks: string[] } {
  if (output === null || typeof output !== 'object' || Array.isArray(output))
    return { head: sizeOf(output), remarks: [] };
  const head = Object.entries(output).map(
    ([name, value]) => `${name} ${typeof value === 'boolean' ? yesNo(value) : sizeOf(value)}`,
  );
  const remarks = Object.values(output).flatMap((value) =>
    Array.isArray(value) ? value.filter((element) => typeof element === 'string') : [],
  );
  return { head: head.join(', '), remarks };
}

/** How much a tool has returned. */
function resultSize(value: Json): string {
  if (!Array.isArray(value)) return sizeOf(value);
  return plural(value.length, 'result');
}

/** How much it is, as people count it. */
function sizeOf(value: Json): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : `${value.length}`;
  if (value !== null && typeof value === 'object') {
    const { text } = value;
    return typeof text === 'string'
      ? plural(text.split('\n').length, 'line')
      : oneLine(textOf(value), longestArguments);
  }
  const text = textOf(value);
  return text.length > longestArguments
    ? `${text.length.toLocaleString('en')} characters`
    : JSON.stringify(value);
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function textOf(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function oneLine(text: string, most: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`;
}
