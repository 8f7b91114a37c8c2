/** By a call's id and digest, its entry: what a person types there must survive the next look at the list. */
const shown = new Map();
/** What was decided on here: a list that is under way may still have it. */
const decided = new Set();

/** Lists the calls that wait, with a way to decide on each. */
export function showApprovals(list, waiting, decide) {
  const keys = new Set(waiting.map(keyOf));
  for (const [key, entry] of shown) {
    if (keys.has(key)) continue;
    entry.remove();
    shown.delete(key);
  }
  for (const call of waiting) {
    if (shown.has(keyOf(call)) || decided.has(keyOf(call))) continue;
    const entry = entryFor(call, decide);
    shown.set(keyOf(call), entry);
    list.append(entry);
  }
}

function keyOf({ id, digest }) {
  return `${id} ${digest}`;
}

function entryFor(call, decide) {
  const reason = element('input', { placeholder: 'Reason', maxLength: 1000 });
  reason.setAttribute('aria-label', `Reason, for ${call.tool}`);
  const problem = element('p', { className: 'why' });
  problem.setAttribute('role', 'alert');
  const button = (label, className, body) => {
    const made = element('button', { type: 'button', className }, label);
    made.addEventListener('click', async () => {
      problem.textContent = '';
      made.disabled = true;
      try {
        const why = reason.value.trim();
        await decide(call, { digest: call.digest, ...(why !== '' && { reason: why }), ...body() });
        decided.add(keyOf(call));
        shown.delete(keyOf(call));
        made.closest('li').remove();
      } catch (thrown) {
        problem.textContent = thrown.message;
      } finally {
        made.disabled = false;
      }
    });
    return made;
  };
  const [conversation] = call.id.split('/');
  const facts = Object.entries(call.arguments).flatMap(([name, value]) => [
    element('dt', {}, name),
    element('dd', {}, shownValue(name, value)),
  ]);
  const why = call.uncertain
    ? `It may or may not have happened: ${call.uncertain.why}`
    : `Asked for by ${call.agent}`;
  return element(
    'li',
    {},
    element('strong', {}, call.tool),
    element('p', { className: 'why' }, why),
    element(
      'p',
      { className: 'why' },
      element('a', { href: `#${encodeURIComponent(conversation)}` }, conversation),
    ),
    element('dl', {}, ...facts),
    reason,
    element('div', { className: 'buttons' }, ...buttonsFor(call, button)),
    inputFor(call, button),
    problem,
  );
}

/** The shop's prices are in euros. */
const money = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' });

function shownValue(name, value) {
  if (name === 'amount' && typeof value === 'number') return money.format(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function buttonsFor({ uncertain }, button) {
  const verdict = (name) => () => ({ verdict: name });
  if (!uncertain)
    return [button('Approve', 'main', verdict('approve')), button('Reject', '', verdict('reject'))];
  return [
    button('It did not happen', '', verdict('reject')),
    button('Do it again', '', verdict('again')),
    button('Stop', '', verdict('stop')),
  ];
}

/** Other arguments for the call, or what it came to, as JSON. */
function inputFor(call, button) {
  const text = element('textarea', {
    rows: 5,
    value: call.uncertain ? '' : JSON.stringify(call.arguments, null, 2),
  });
  text.setAttribute('aria-label', call.uncertain ? 'Its result, as JSON' : 'The arguments, as JSON');
  const body = () =>
    call.uncertain
      ? { verdict: 'result', output: JSON.parse(text.value) }
      : { verdict: 'edit', input: JSON.parse(text.value) };
  const label = call.uncertain ? 'It happened' : 'Approve with these';
  const title = call.uncertain ? 'It happened: say with what result' : 'Change the arguments';
  return element('details', {}, element('summary', {}, title), text, button(label, '', body));
}

function element(name, properties, ...content) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...content);
  return made;
}
