import type { ModelAnswer } from 'cadenza/testing';
import type { ParcelStatus } from '../carrier.ts';
import type { Article, Order } from '../database.ts';
import { call, lastCall, orderIn, type Conversation } from './read-conversation.ts';

const asksWhere = /\b(where|track\w*|arriv\w*|when|late|lost|parcel|waiting|come|coming)\b/i;
/** "And A-1044?" asks what was asked before. */
const onlyNumber = /^\W*(and |what about )*#?A-?\d{4}\W*$/i;
/** The shop's own words for an order whose customer may be owed something. */
const troubled = ['delayed', 'lost'];

/** Says where a parcel is, by its carrier, or where that fails by the order itself; undefined where that is not asked. */
export function parcelByRules(conversation: Conversation): ModelAnswer | undefined {
  const { tools, asked, written } = conversation;
  const isAsked = asksWhere.test(onlyNumber.test(asked) ? written : asked);
  const id = orderIn(conversation);
  if (!tools.has('track_parcel') || id === undefined || !isAsked) return undefined;
  const found = lastCall(conversation, 'find_order');
  if (!found) return call('find_order', { order_id: id });
  if (typeof found.result === 'string') return { text: `${found.result} Please look at the number again.` };
  const order = found.result as Order;
  const tracked = lastCall(conversation, 'track_parcel');
  if (!tracked && order.tracking_number !== null && order.delivered_on === null) return askAround(order);
  const policies = lastCall(conversation, 'search_policies')?.result;
  const [policy] = Array.isArray(policies) ? (policies as Article[]) : [];
  const lines = [sayOrder(order), ...sayCarrier(order, tracked?.result), ...(order.note ? [order.note] : [])];
  return { text: [...lines, ...(policy ? [`What we promise: ${policy.text}`] : [])].join(' ') };
}

function askAround({ order_id: id, status }: Order): ModelAnswer {
  const track = { name: 'track_parcel', arguments: { order_id: id } };
  const policy = { name: 'search_policies', arguments: { query: `late lost parcel ${status}` } };
  return { toolCalls: troubled.includes(status) ? [track, policy] : [track] };
}

function sayOrder({ order_id: id, status, delivered_on: delivered, carrier, items }: Order): string {
  const what = items.map(({ name }) => name).join(', ');
  const when = delivered === null ? '' : `, on ${delivered}`;
  return `Order ${id} (${what}) is ${status}${when}${carrier === null ? '' : `, with ${carrier}`}.`;
}

function sayCarrier({ carrier, placed_on: placed, expected_on: expected }: Order, result: unknown): string[] {
  const due = expected === null ? [] : [`It is expected on ${expected}.`];
  if (result === undefined) return due;
  if (typeof result === 'string') {
    const own = `${carrier} gave no usable answer, so this is what our own records say: placed on ${placed}.`;
    return [own, ...due];
  }
  const { status, place, at } = result as ParcelStatus;
  return [`${carrier} reports it as ${status.replaceAll('_', ' ')}: ${place}, ${at}.`, ...due];
}
