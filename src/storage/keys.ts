import { createHash } from 'node:crypto';

/** Characters of a name that stay readable in a key. */
const readable = 60;

/**
 * A name of any form as one segment of a key: its beginning for people, and a digest that keeps names apart which differ in nothing
 * else than case or the characters that a key cannot hold.
 */
export function keySegment(name: string): string {
  const safe = name.replaceAll(/[^A-Za-z0-9_-]+/g, '-').slice(0, readable);
  return `${safe}.${sha256(name).slice(0, 16)}`;
}

/** What all objects of a workflow begin with. */
export function workflowPrefix(namespace: string, workflowId: string): string {
  return `${keySegment(namespace)}/${keySegment(workflowId)}/`;
}

/** What the externally stored payloads of a workflow begin with. */
export function payloadPrefix(namespace: string, workflowId: string): string {
  return `payloads/${workflowPrefix(namespace, workflowId)}`;
}

/** In hexadecimal digits. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
