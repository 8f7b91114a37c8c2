/** The conversations that were begun in this browser, so that one can go back to them: the desk itself keeps no list. */
const key = 'conversations';
const most = 20;

function known() {
  try {
    const list = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** Keeps a conversation by its first words. */
export function remember(id, text) {
  const others = known();
  if (others.some((one) => one.id === id)) return;
  try {
    localStorage.setItem(key, JSON.stringify([{ id, text: text.slice(0, 80) }, ...others].slice(0, most)));
  } catch {
    // A browser that keeps nothing still has the address of the page.
  }
}

/** Lists them, each with a link; the one that is open is text. */
export function showConversations(section, list, open) {
  const conversations = known();
  section.hidden = conversations.length === 0;
  list.replaceChildren(
    ...conversations.map(({ id, text }) => {
      const entry = document.createElement('li');
      const link = document.createElement(id === open ? 'b' : 'a');
      if (id !== open) link.href = `#${encodeURIComponent(id)}`;
      link.textContent = text;
      link.title = id;
      entry.append(link);
      return entry;
    }),
  );
}
