import { defineAgent, defineTool, ToolError } from 'cadenza';
import { z } from 'zod';
import { ShopDatabase } from './database.ts';

let database: ShopDatabase | undefined;

/** Opened by the first call on this worker, so that a client can import the agent without a database. */
function shop(): ShopDatabase {
  database ??= ShopDatabase.open(process.env['SUPPORT_DB'] || '.cadenza/support-desk.db');
  return database;
}

const findOrder = defineTool({
  name: 'find_order',
  description: 'Looks up one order by its number, such as A-1042: status, carrier, dates, items, total.',
  input: z.object({ order_id: z.string().describe('The order number, such as A-1042') }),
  effect: 'read',
  execute({ order_id: id }) {
    const order = shop().order(id);
    if (!order) throw new ToolError(`There is no order ${id}.`);
    return order;
  },
});

const findOrdersByEmail = defineTool({
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

const searchPolicies = defineTool({
  name: 'search_policies',
  description:
    "Searches the shop's policies: returns, refunds, shipping, warranty, payment, changes to orders, and the like.",
  input: z.object({ query: z.string().min(1).max(200).describe('A few words') }),
  effect: 'read',
  execute: ({ query }) => shop().searchPolicies(query),
});

/** Answers a customer of a bicycle shop from its orders and policies. */
export const supportDesk = defineAgent({
  name: 'support-desk',
  description: 'Answers customers of the bicycle shop.',
  instructions: `You answer customers of an online bicycle shop.

Look up what the customer writes about: an order by its number, the orders of an email address, and the policies for anything
the shop allows, promises or charges. Say only what the tools returned; promise nothing that no policy promises. Where it
matters, apply a policy to the order at hand: count the days, say what follows. If you need the order number or the email
address and do not have it, ask for it. Answer in the customer's language, friendly and in a few sentences.`,
  tools: [findOrder, findOrdersByEmail, searchPolicies],
  limits: { turns: 12 },
});
