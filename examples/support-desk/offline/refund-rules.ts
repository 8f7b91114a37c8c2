import type { ModelAnswer } from 'cadenza/testing';
import type { Order } from '../database.ts';
import { call, lastCall, orderIn, type Conversation } from './read-conversation.ts';

const wish = /\b(refund\w*|money back|reimburse\w*)\b/i;
const asksAboutRefunds = /\b(how|when|why|which|policy|rules?)\b/i;
const everything = /\b(full(y)?|whole|everything|all (of )?(it|my|the)|entire)\b/i;
const sum = /(?:€|\beur(?:os?)?)\s*(\d+(?:[.,]\d{1,2})?)|(\d+(?:[.,]\d{1,2})?)\s*(?:€|eur(?:os?)?\b)/gi;
const rejected = /^Not executed: a person rejected this call(?:: (.*))?/s;
const longestReason = 200;

/** Refunds what the customer asks for; undefined where no refund is asked for. */
export function refundByRules(conversation: Conversation): ModelAnswer | undefined {
  const { tools, asked, sinceRefund } = conversation;
  const id = orderIn(conversation);
  if (!tools.has('refund') || !isWish(asked, sinceRefund, id)) return undefined;
  if (id === undefined)
    return { text: 'Which order is it about? Please send me its number, such as A-1042.' };
  const found = lastCall(conversation, 'find_order');
  if (!found) return call('find_order', { order_id: id });
  if (typeof found.result === 'string') return { text: `${found.result} Please look at the number again.` };
  const order = found.result as Order;
  const refund = lastCall(conversation, 'refund');
  if (refund) return { text: sayWhatBecameOfIt(order, Number(refund.input['amount']), refund.result) };
  const amount = amountIn(asked, order) ?? amountIn(sinceRefund, order);
  if (amount === undefined) return { text: askHowMuch(order) };
  const reason = (wish.test(asked) ? asked : sinceRefund).replace(/\s+/g, ' ').trim().slice(0, longestReason);
  return call('refund', { order_id: order.order_id, amount, reason });
}

/** "How long do refunds take?" is a question; with an order's number it is a wish, and so is what answers our question about it. */
function isWish(asked: string, written: string, order: string | undefined): boolean {
  if (wish.test(asked)) return order !== undefined || !asksAboutRefunds.test(asked);
  const answersUs = amountsIn(asked).length > 0 || everything.test(asked) || /\bA-?\d{4}\b/i.test(asked);
  return answersUs && wish.test(written);
}

function amountIn(text: string, { total, refunded }: Order): number | undefined {
  const amount = amountsIn(text).at(-1);
  return amount ?? (everything.test(text) ? Math.round((total - refunded) * 100) / 100 : undefined);
}

function amountsIn(text: string): number[] {
  return [...text.matchAll(sum)].map(([, before, after]) =>
    Number((before ?? after ?? '').replace(',', '.')),
  );
}

function askHowMuch({ order_id: id, total, refunded, items }: Order): string {
  const bought = items
    .map(({ name, quantity, price }) => `${quantity} × ${name} at ${euros(price)}`)
    .join(', ');
  const before = refunded > 0 ? `, and ${euros(refunded)} were refunded` : '';
  return `Order ${id} came to ${euros(total)} (${bought})${before}. How much is it about, or all of it?`;
}

function sayWhatBecameOfIt({ order_id: id }: Order, amount: number, result: unknown): string {
  if (typeof result !== 'string') {
    const { refunded, left } = result as { refunded: number; left: number };
    return `I have refunded ${euros(refunded)} of order ${id}; ${euros(left)} of it are left.`;
  }
  const [isRejected, reason] = rejected.exec(result) ?? [];
  const why = reason === undefined ? '.' : `: ${reason}`;
  if (isRejected !== undefined)
    return `A colleague has not approved the refund of ${euros(amount)} for order ${id}${why}`;
  return `I could not refund ${euros(amount)} for order ${id}. ${result}`;
}

function euros(amount: number): string {
  return `€${amount.toFixed(2)}`;
}
