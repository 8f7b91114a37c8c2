import { defineTool, ToolError } from 'cadenza';
import { z } from 'zod';
import { readCarrierAnswer, UnexpectedAnswer } from './carrier.ts';
import { RefundRefused, ShopDatabase } from './database.ts';

/** Euros that may be refunded of one order without asking a person. */
export const refundLimit = 100;

let database: ShopDatabase | undefined;

/** Opened by the first call on this worker, so that a client can import the agents without a database. */
function shop(): ShopDatabase {
  database ??= ShopDatabase.open(process.env['SUPPORT_DB'] || '.cadenza/support-desk.db');
  return database;
}

const orderId = z.string().describe('The order number, such as A-1042');

export const findOrder = defineTool({
  name: 'find_order',
  description:
    'Looks up one order by its number, such as A-1042: status, carrier, dates, items, total, what was refunded.',
  input: z.object({ order_id: orderId }),
  effect: 'read',
  execute: ({ order_id: id }) => orderOf(id),
});

export const findOrdersByEmail = defineTool({
  name: 'find_orders_by_email',
  description: 'Lists the orders of a customer, the latest first.',
  input: z.object({ email: z.email().describe("The customer's email address") }),
  effect: 'read',
  execute({ email }) {
    const orders = shop().ordersOf(email);
    if (!orders) throw new ToolError(`No customer has the email address ${email}.`);
    return orders;
  },
});

export const trackParcel = defineTool({
  name: 'track_parcel',
  description: 'Asks the carrier where the parcel of an order is now.',
  input: z.object({ order_id: orderId }),
  effect: 'read',
  timeout: '10 seconds',
  execute({ order_id: id }) {
    const { carrier, tracking_number: number, ...order } = orderOf(id);
    if (carrier === null || number === null)
      throw new ToolError(`${order.order_id} is ${order.status} and has not been given to a carrier.`);
    try {
      return { order_id: order.order_id, carrier, ...readCarrierAnswer(shop().carrierAnswer(number)) };
    } catch (thrown) {
      if (!(thrown instanceof UnexpectedAnswer)) throw thrown;
      // Asking again would bring the same; the model can go on without it.
      throw new ToolError(
        `${carrier} could not be asked about ${number}: ${thrown.message}. Go by the dates of the order itself, and say that the carrier gave no usable answer.`,
      );
    }
  },
});

export const searchPolicies = defineTool({
  name: 'search_policies',
  description:
    "Searches the shop's policies: returns, refunds, shipping, warranty, payment, changes to orders, and the like.",
  input: z.object({ query: z.string().min(1).max(200).describe('A few words') }),
  effect: 'read',
  execute: ({ query }) => shop().searchPolicies(query),
});

export const searchManuals = defineTool({
  name: 'search_manuals',
  description:
    'Searches the product manuals and the advice on repairs: brakes, chain, tyres, lights, assembly.',
  input: z.object({ query: z.string().min(1).max(200).describe('A few words') }),
  effect: 'read',
  execute: ({ query }) => shop().searchManuals(query),
});

export const refund = defineTool({
  name: 'refund',
  description: `Refunds an amount of an order, at most what was paid and not yet refunded. Over €${refundLimit} an order a person must approve it.`,
  input: z.object({
    order_id: orderId,
    amount: z.number().positive().describe('Euros, with at most two decimal places'),
    reason: z.string().min(1).max(500).describe('Why, in a few words'),
  }),
  output: z.object({ order_id: z.string(), refunded: z.number(), left: z.number() }),
  effect: 'once',
  whenUncertain: 'ask',
  timeout: '30 seconds',
  // All refunds of an order count together: many small ones are a large one.
  needsApproval: ({ order_id: id, amount }) => (shop().order(id)?.refunded ?? 0) + amount > refundLimit,
  execute({ order_id: id, amount, reason }, { idempotencyKey: key }) {
    const { order_id: number } = orderOf(id);
    if (Math.abs(amount * 100 - Math.round(amount * 100)) > 1e-6)
      throw new ToolError(`${amount} is no amount in euros and cents.`);
    try {
      return { order_id: number, ...shop().refund({ key, order_id: number, amount, reason }) };
    } catch (thrown) {
      if (thrown instanceof RefundRefused) throw new ToolError(thrown.message);
      throw thrown;
    }
  },
});

function orderOf(id: string) {
  const order = shop().order(id);
  if (!order) throw new ToolError(`There is no order ${id}.`);
  return order;
}
