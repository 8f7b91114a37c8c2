/** The desk's page. Whatever comes from elsewhere becomes text (`textContent`), never markup. */
import { showApprovals } from './approvals.js';
import { remember, showConversations } from './conversations.js';
import { request } from './request.js';

const find = (id) => document.getElementById(id);
const log = find('log');
/** By a run's workflow id, the agent's name. */
const agents = new Map();
/** By a call's id, its line. */
const calls = new Map();
/** The runs of this conversation in which a call has begun to wait for a person. */
const waitingRuns = new Set();
/** By a run's workflow id, the reply that is being written. */
const drafts = new Map();
let conversation = decodeURIComponent(location.hash.slice(1));
let events;
let taken = false;
/** How often the list of approvals was asked for: an answer that has been overtaken is not shown. */
let refreshes = 0;

function element(name, className, ...content) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...content);
  return made;
}

function add(line) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  find('empty').hidden = true;
  log.append(line);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function bubble(className, who, text) {
  add(element('li', `bubble ${className}`, element('b', '', who), text));
}

function note(text) {
  add(element('li', 'note', text));
}

function setTaken(now) {
  taken = now;
  find('say').hidden = !taken;
  find('say').className = taken ? 'main' : '';
  find('send').className = taken ? '' : 'main';
  update();
}

function update() {
  const isOpen = events !== undefined;
  find('where').textContent = isOpen ? conversation : 'A new conversation';
  find('take-over').disabled = !isOpen || taken;
  find('hand-back').disabled = !isOpen || !taken;
  find('close').disabled = !isOpen;
}

function startCall({ workflowId, call, tool, input }) {
  const line = element('li', 'tool running', `${tool} ${JSON.stringify(input)}`);
  calls.set(`${workflowId}#${call}`, { line, title: `${tool} ${JSON.stringify(input)}` });
  add(line);
}

function endCall({ workflowId, call }, failed, output) {
  const known = calls.get(`${workflowId}#${call}`);
  if (!known) return;
  known.line.className = failed ? 'tool failed' : 'tool';
  const shown = typeof output === 'string' ? output : JSON.stringify(output, null, 2);
  const title = element('summary', '', `${failed ? '✗' : '✓'} ${known.title}`);
  const details = element('details', '', title, element('pre', '', shown));
  known.line.replaceChildren(details);
}

/** Shows a piece of a reply while it is written. Another attempt begins it anew, and so does a connection that was lost. */
function write({ workflowId, turn, attempt, offset, text }) {
  const which = `${turn}.${attempt}`;
  if (drafts.get(workflowId)?.which !== which) {
    drop(workflowId);
    const words = document.createTextNode('');
    const who = element('b', '', agents.get(workflowId) ?? 'agent');
    const line = element('li', 'bubble agent draft', who, words);
    drafts.set(workflowId, { which, words, line });
    add(line);
  }
  const { words } = drafts.get(workflowId);
  words.data = words.data.slice(0, offset) + text;
}

function drop(workflowId) {
  drafts.get(workflowId)?.line.remove();
  drafts.delete(workflowId);
}

function replied({ workflowId, decision, reply }) {
  drop(workflowId);
  find('doing').textContent = '';
  const text = reply.flatMap((item) => (item.type === 'message' ? [item.text] : [])).join('\n');
  if (decision === 'output') bubble('agent', agents.get(workflowId) ?? 'agent', text);
}

/** What each kind of event does to the page; the others are not shown. */
const handlers = {
  started: ({ workflowId, agent }) => agents.set(workflowId, agent),
  'turn-started': ({ workflowId }) => {
    find('doing').textContent = `${agents.get(workflowId) ?? 'The agent'} is thinking…`;
  },
  text: write,
  replied,
  message: ({ text }) => bubble('customer', 'Customer', text),
  said: ({ text, by }) => bubble('person', by ?? 'Colleague', text),
  'agent-started': ({ agent }) => note(`Handed over to ${agent}`),
  'tool-started': startCall,
  'tool-finished': (event) => endCall(event, event.error, event.output),
  'tool-failed': (event) => endCall(event, true, event.message),
  waiting: ({ workflowId, tool, uncertain }) => {
    waitingRuns.add(workflowId);
    note(
      uncertain ? `Nobody knows whether ${tool} happened: a person must say` : `${tool} waits for approval`,
    );
    void refresh();
  },
  decided: ({ verdict, by, reason }) => {
    note(`${by ?? 'Somebody'} decided: ${verdict}${reason ? ` (${reason})` : ''}`);
    void refresh();
  },
  'taken-over': ({ by }) => {
    setTaken(true);
    note(`${by ?? 'A colleague'} has taken over`);
  },
  'handed-back': ({ by }) => {
    setTaken(false);
    note(`${by ?? 'A colleague'} has handed back`);
  },
  closed: ({ by }) => note(`Closed by ${by ?? 'a colleague'}`),
  ended: ({ workflowId, how, failure }) => {
    drop(workflowId);
    note(`The run ${how}: ${failure?.message ?? ''}`);
  },
};

function follow() {
  if (events) return;
  events = new EventSource(`/conversations/${encodeURIComponent(conversation)}/events`);
  events.addEventListener('message', ({ data }) => {
    const event = JSON.parse(data);
    handlers[event.type]?.(event);
  });
  events.addEventListener('end', () => {
    events.close();
    find('doing').textContent = '';
    note('The conversation has ended');
  });
  events.addEventListener('error', () => {
    if (events.readyState === EventSource.CLOSED) report(new Error('There is no such conversation.'));
  });
  update();
}

function report(thrown) {
  find('problem').textContent = thrown?.message ?? '';
}

async function attempt(work) {
  report();
  try {
    await work();
  } catch (thrown) {
    report(thrown);
  }
}

async function post(action, body) {
  await request(`/conversations/${encodeURIComponent(conversation)}/${action}`, body);
}

async function decide(call, body) {
  await request(`/approvals/${encodeURIComponent(call.id)}`, { ...body, by: find('by').value });
}

async function refresh() {
  refreshes += 1;
  const mine = refreshes;
  // A run knows what waits in it before the list of all conversations does.
  const runs = [...waitingRuns].map((run) => `/approvals?conversation=${encodeURIComponent(run)}`);
  const lists = await Promise.allSettled(['/approvals', ...runs].map((path) => request(path)));
  if (mine !== refreshes) return;
  const waiting = new Map(lists.flatMap(({ value = [] }) => value).map((call) => [call.id, call]));
  showApprovals(find('approvals'), [...waiting.values()], decide);
}

/** Sends what is written, under an id that stays the same until it has arrived. */
function send(button, work) {
  let pending;
  const run = () =>
    attempt(async () => {
      const text = find('text').value.trim();
      if (text === '') return;
      if (pending?.text !== text) pending = { id: crypto.randomUUID(), text };
      button.disabled = true;
      try {
        await work(pending);
        pending = undefined;
        find('text').value = '';
      } finally {
        button.disabled = false;
      }
    });
  return run;
}

const ask = send(find('send'), async (message) => {
  if (conversation === '') conversation = `desk-${crypto.randomUUID().slice(0, 8)}`;
  await post('messages', message);
  history.replaceState(null, '', `#${encodeURIComponent(conversation)}`);
  remember(conversation, message.text);
  showConversations(find('earlier'), find('links'), conversation);
  follow();
});
const say = send(find('say'), (message) => post('say', { ...message, by: find('by').value }));

find('compose').addEventListener('submit', (event) => {
  event.preventDefault();
  void ask();
});
find('say').addEventListener('click', () => void say());
find('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  void (taken ? say() : ask());
});
for (const action of ['take-over', 'hand-back', 'close'])
  find(action).addEventListener('click', () => void attempt(() => post(action, { by: find('by').value })));
find('new').addEventListener('click', () => {
  history.replaceState(null, '', location.pathname);
  location.reload();
});
addEventListener('hashchange', () => location.reload());

if (conversation !== '') follow();
showConversations(find('earlier'), find('links'), conversation);
update();
void refresh();
setInterval(() => {
  if (!document.hidden) void refresh();
}, 10_000);
