import { describeAttachment, type Attachment } from '../protocol/attachments.ts';
import type { RunEvent } from '../client/run-events.ts';
import type { Json } from '../protocol/protocol.ts';
import { describeTime } from './describe-time.ts';
import { describeCost, describeTokens, spendingOf } from './describe-usage.ts';
import type { RunTree } from './run-tree.ts';
import { brief } from './terminal.ts';

/** One self-contained page about a run: its timeline, what was decided, used and paid. It has no script, and everything is escaped. */
export function showHtml(tree: RunTree): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(tree.workflowId)}</title>
<style>${style}</style>
</head>
<body>
<main>${runSection(tree, 1)}</main>
</body>
</html>
`;
}

const style = `
:root { color-scheme: light dark; --line: light-dark(#d9dce3, #353a45); --soft: light-dark(#f5f6f9, #1c1f26); --faint: light-dark(#667085, #98a2b3);
  --blue: light-dark(#2f5bd0, #84a9ff); --green: light-dark(#1a7f4b, #5fd39a); --red: light-dark(#b3261e, #ff8a80); --amber: light-dark(#9a6200, #f5c06a); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: light-dark(#fff, #14161b); color: light-dark(#1b1e26, #e6e8ee); }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
.id { color: var(--faint); font-size: .85rem; overflow-wrap: anywhere; }
dl.facts { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; padding: .75rem 1rem; background: var(--soft); border-radius: .6rem; }
dl.facts div { min-width: 5rem; } dt { color: var(--faint); font-size: .75rem; } dd { margin: 0; font-variant-numeric: tabular-nums; }
.box { border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .9rem; margin: .6rem 0; overflow-wrap: anywhere; }
.box.result { border-color: var(--green); } .box.failure { border-color: var(--red); }
.label { color: var(--faint); font-size: .75rem; }
ol.line { list-style: none; margin: 1rem 0; padding: 0 0 0 1.1rem; border-left: 2px solid var(--line); }
ol.line > li { position: relative; margin: 0 0 .55rem; overflow-wrap: anywhere; }
ol.line > li::before { content: ''; position: absolute; left: -1.47rem; top: .45rem; width: .65rem; height: .65rem; border-radius: 50%; background: var(--dot, var(--line)); }
li.turn { --dot: var(--blue); margin-top: 1.1rem !important; } li.tool { --dot: var(--faint); } li.bad { --dot: var(--red); }
li.person { --dot: var(--amber); } li.good { --dot: var(--green); }
time, .n { color: var(--faint); font-size: .8rem; font-variant-numeric: tabular-nums; margin-left: .5rem; }
.bar { display: block; height: 4px; border-radius: 2px; background: var(--soft); margin-top: .25rem; } .bar i { display: block; height: 4px; border-radius: 2px; background: var(--blue); }
pre { margin: .3rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font: .82rem/1.45 ui-monospace, monospace; max-height: 24rem; overflow: auto; }
details > summary { cursor: pointer; } code { font: .88em ui-monospace, monospace; }
section.child { border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem; margin: .5rem 0; }
`;

function runSection(tree: RunTree, level: number): string {
  const heading = level === 1 ? 'h1' : 'h2';
  const end = tree.closedAt ?? tree.events.at(-1)?.at.toISOString() ?? tree.startedAt;
  const facts: [string, string][] = [
    ['State', tree.state.toLowerCase()],
    ['Turns', String(tree.turns)],
    ['Tokens', describeTokens(tree.usage)],
    ['Cost', tree.turns === 0 ? '-' : describeCost(tree)],
    ...withThoseBelow(tree),
    ['Started', describeTime(new Date(tree.startedAt))],
    ['Took', duration(Date.parse(end) - Date.parse(tree.startedAt))],
  ];
  const { output, failure, gone } = tree;
  return `<${heading}>${escape(tree.agent || 'run')}</${heading}>
<div class="id">${escape(tree.workflowId)}</div>
<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escape(value)}</dd></div>`).join('')}</dl>
${tree.input === undefined ? '' : box('Input', tree.input)}${attached(tree)}
${gone === undefined ? '' : box('Its history is gone', gone, 'failure')}
<ol class="line">${timeline(tree, level)}</ol>
${output === undefined || output === null ? '' : box('Result', output, 'result')}
${failure ? box(failure.type, failure.message, 'failure') : ''}`;
}

function timeline(tree: RunTree, level: number): string {
  const begin = Date.parse(tree.startedAt);
  const children = [...tree.children];
  const last = tree.events.at(-1)?.at.getTime() ?? begin;
  const started = new Map<string, number>();
  const whole = Math.max(1, last - begin);
  const ended = new Set(tree.events.map((event) => ('output' in event && 'tool' in event ? event.call : '')));
  const given = new Map<string, Json>();
  return tree.events
    .map((event) => {
      const at = event.at.getTime();
      if (event.type === 'turn-started') started.set(`turn ${event.turn}`, at);
      if (event.type === 'tool-started') {
        started.set(event.call, at);
        if (event.input !== undefined) given.set(event.call, event.input);
        // One row for a call that has ended: what it was given stands there.
        if (ended.has(event.call)) return '';
      }
      const since = (key: string) => bar(started.get(key) ?? at, at, { begin, whole });
      const time = `<time>+${duration(at - begin)}</time>`;
      if (event.type === 'agent-started') {
        const child = children.shift();
        const verb = event.handoff ? 'hands over to' : 'asks';
        return `<li class="turn">${verb} <b>${escape(event.agent)}</b>${time}${child ? `<section class="child">${runSection(child, level + 1)}</section>` : ''}</li>`;
      }
      return item(event, { time, since, given });
    })
    .join('\n');
}

/** What a row shows besides its event. */
interface Beside {
  time: string;
  since: (key: string) => string;
  /** Arguments, by call. */
  given: ReadonlyMap<string, Json>;
}

function item(event: RunEvent, { time, since, given }: Beside): string {
  switch (event.type) {
    case 'replied': {
      const { turn, usage, cost, attempts, problem, reply } = event;
      const text = reply.map((each) => (each.type === 'message' ? each.text : '')).join('');
      const spent = `${describeTokens(usage)}, ${cost === undefined ? 'cost unknown' : `$${cost.toFixed(4)}`}${attempts > 1 ? `, attempt ${attempts}` : ''}`;
      const mend = problem === undefined ? '' : box('Asked to mend', problem, 'failure');
      const calls = reply.flatMap((each) =>
        each.type === 'call' ? [`<code>${escape(each.name)}</code>`] : [],
      );
      const asks = calls.length > 0 ? ` calls ${calls.join(', ')}` : '';
      return `<li class="turn"><b>Turn ${turn}</b>${asks}<span class="n">${spent}</span>${time}${since(`turn ${turn}`)}${text === '' ? '' : `<pre>${escape(text)}</pre>`}${mend}</li>`;
    }
    case 'tool-finished': {
      const { tool, output, error, call, attempts } = event;
      const again = attempts > 1 ? `<span class="n">attempt ${attempts}</span>` : '';
      const input = given.get(call);
      const asked = input === undefined ? '' : `<span class="n">${escape(brief(input, 80))}</span>`;
      const whole = input === undefined ? '' : box('Arguments', input);
      return `<li class="${error ? 'bad' : 'tool'}"><details><summary><code>${escape(tool)}</code>${asked}${error ? ' failed' : ''}${again}${time}</summary>${whole}${box('Result', output)}${attached(event)}</details>${since(call)}</li>`;
    }
    case 'tool-started':
      return `<li class="tool"><details><summary><code>${escape(event.tool)}</code> begins${time}</summary><pre>${escape(pretty(event.input ?? 'its arguments are in the reply'))}</pre></details></li>`;
    case 'tool-failed':
      return `<li class="bad"><code>${escape(event.tool)}</code> failed${time}<pre>${escape(event.message)}</pre></li>`;
    case 'agent-finished':
    case 'turn-started':
    case 'text':
    case 'started':
      return '';
    case 'agent-failed':
      return `<li class="bad"><b>${escape(event.agent)}</b> failed${time}<pre>${escape(event.message)}</pre></li>`;
    case 'compacted':
      return `<li><details><summary>${event.items} items were ${event.summary === undefined ? 'left out' : 'summarised'}${time}</summary><pre>${escape(event.summary ?? '')}</pre></details></li>`;
    case 'message':
    case 'said':
      return `<li class="person"><b>${escape(event.type === 'said' ? (event.by ?? 'a person') : 'message')}</b>${time}<pre>${escape(event.text)}</pre>${attached(event)}</li>`;
    case 'waiting':
      return `<li class="person">waits for a person: <code>${escape(event.tool)}</code>${time}</li>`;
    case 'decided':
      return `<li class="person"><b>${escape(event.verdict)}</b>${escape(event.by === undefined ? '' : ` by ${event.by}`)}${time}${event.reason === undefined ? '' : `<pre>${escape(event.reason)}</pre>`}</li>`;
    case 'policy-changed':
      return `<li class="person"><details><summary>policy changed${escape(event.by === undefined ? '' : ` by ${event.by}`)}${time}</summary>${box('Rules added', event.added)}${box('Rules removed', event.removed)}</details></li>`;
    case 'completed':
      return `<li class="good">completed${time}</li>`;
    case 'ended':
      return `<li class="bad">${escape(event.how)}${time}</li>`;
    default:
      return `<li class="person">${escape(event.type.replaceAll('-', ' '))}${'by' in event && event.by !== undefined ? escape(` by ${event.by}`) : ''}${time}</li>`;
  }
}

/** What a run and those below it have used, where there are any. */
function withThoseBelow(tree: RunTree): [string, string][] {
  if (tree.children.length === 0) return [];
  const spent = spendingOf(tree);
  return [['With the runs below', `${describeTokens(spent.usage)}, ${describeCost(spent)}`]];
}

/** Images and files by what they are called: the page loads nothing from elsewhere. */
function attached(holder: object): string {
  const { attachments = [] } = holder as { attachments?: Attachment[] };
  return attachments.length === 0 ? '' : box('Attachments', attachments.map(describeAttachment).join('\n'));
}

function bar(from: number, to: number, { begin, whole }: { begin: number; whole: number }): string {
  const left = ((from - begin) / whole) * 100;
  const width = Math.max(0.5, ((to - from) / whole) * 100);
  return `<span class="bar"><i style="margin-left:${left.toFixed(2)}%;width:${Math.min(width, 100 - left).toFixed(2)}%"></i></span>`;
}

function box(label: string, value: unknown, kind = ''): string {
  return `<div class="box ${kind}"><div class="label">${escape(label)}</div><pre>${escape(pretty(value))}</pre></div>`;
}

function pretty(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

function duration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.max(0, milliseconds)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

function escape(text: string): string {
  const names: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => names[character] ?? '');
}
