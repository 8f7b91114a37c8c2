/** One server-sent event of a conversation. */
export interface SentEvent {
  id: string;
  data: {
    type: string;
    cursor: string;
    at: string;
    workflowId: string;
    decision?: string;
    agent?: string;
    tool?: string;
    id?: string;
  };
}

/** Reads a stream of events until one fits, or until the backend says that it is over, as a browser would read it. */
export async function readEvents(
  url: string,
  { after, until }: { after?: string; until?: (event: SentEvent) => boolean } = {},
): Promise<SentEvent[]> {
  const leaving = new AbortController();
  const headers = after === undefined ? {} : { 'last-event-id': after };
  const response = await fetch(url, { headers, signal: leaving.signal });
  if (!response.ok || !response.body) throw new Error(`the backend answered ${response.status}`);
  const events: SentEvent[] = [];
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const fields = new Map(
        text
          .slice(0, end)
          .split('\n')
          .map((line): [string, string] => [
            line.slice(0, line.indexOf(':')),
            line.slice(line.indexOf(':') + 1).trim(),
          ]),
      );
      text = text.slice(end + 2);
      if (fields.get('event') === 'end') return events;
      const data = fields.get('data');
      if (data === undefined) continue;
      const event = { id: fields.get('id') ?? '', data: JSON.parse(data) as SentEvent['data'] };
      events.push(event);
      if (until?.(event)) {
        leaving.abort();
        return events;
      }
    }
  }
  throw new Error(`the stream broke off after ${events.length} events`);
}
