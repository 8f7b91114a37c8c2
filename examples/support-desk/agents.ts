import { defineAgent } from 'cadenza';
import {
  findOrder,
  findOrdersByEmail,
  refund,
  refundLimit,
  searchManuals,
  searchPolicies,
  trackParcel,
} from './tools.ts';

const manners = `Say only what the tools returned; promise nothing that no policy promises. If you need the order number or the
email address and do not have it, ask for it. If a tool fails, say what you could not find out and go on with what you have.
Answer in the customer's language, friendly and in a few sentences.`;

/** Finds out what a customer wants, and passes the conversation on. */
export const triage = defineAgent({
  name: 'triage',
  description: 'Receives the customers of the bicycle shop.',
  instructions: `You receive the customers of an online bicycle shop. Find out what the customer needs, and hand over to the agent
that does it. Do not answer yourself. If it is not clear which one it is, ask one short question; do not guess.`,
  handoffs: ['orders', 'billing', 'technical'],
  limits: { turns: 6 },
});

/** Knows orders, parcels and policies. */
export const orders = defineAgent({
  name: 'orders',
  description: 'Orders and parcels: where one is, what was ordered, returns, cancelling, shipping, warranty.',
  instructions: `You answer customers of an online bicycle shop about orders and parcels.

Look up what the customer writes about: an order by its number, the orders of an email address, at the carrier where a parcel is that
is on its way, and the policies for anything the shop allows, promises or charges. Where it matters, apply a policy to the order at
hand: count the days, say what follows. ${manners}`,
  tools: [findOrder, findOrdersByEmail, trackParcel, searchPolicies],
  handoffs: ['billing', 'technical'],
  limits: { turns: 12 },
});

/** Knows payments, and refunds. */
export const billing = defineAgent({
  name: 'billing',
  description: 'Money: refunds, payments, invoices, price changes, gift cards.',
  instructions: `You answer customers of an online bicycle shop about money.

Look up the order before you refund anything, and the policies for what may be refunded. Refund what the customer is owed and no more.
A person approves refunds over €${refundLimit} an order; if it is rejected, say so and give the reason. ${manners}`,
  tools: [findOrder, searchPolicies, refund],
  handoffs: ['orders', 'technical'],
  limits: { turns: 12 },
});

/** Knows bicycles. */
export const technical = defineAgent({
  name: 'technical',
  description: 'Bicycles themselves: repairs, adjustment, assembly, which part fits, manuals.',
  instructions: `You help customers of an online bicycle shop with their bicycles.

Search the manuals, and the policies for warranty. If something is not safe to ride, say so first. ${manners}`,
  tools: [searchManuals, searchPolicies, findOrder],
  handoffs: ['orders', 'billing'],
  limits: { turns: 12 },
});
