/** Asks the backend: a GET, or with a body a POST of JSON. Throws what the backend says is wrong. */
export async function request(path, body) {
  const post = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, body === undefined ? {} : post);
  const text = await response.text();
  const answer = text === '' ? undefined : JSON.parse(text);
  if (!response.ok) throw new Error(answer?.error ?? `The backend answered ${response.status}.`);
  return answer;
}
