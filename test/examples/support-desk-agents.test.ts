import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, newConversation, startDesk, toolCalls, waitingCall, type RunningDesk } from './running-desk.ts';

let desk: RunningDesk;

beforeAll(async () => {
  desk = await startDesk();
});
afterAll(async () => await desk.stop());

describe('triage', () => {
  test.each([
    ['Where is my order A-1042?', 'orders', /A-1042 .*in transit.*DPD reports it as in transit/],
    ['How long does a refund take?', 'billing', /5 working days/],
    ['My brakes squeak, what can I do?', 'technical', /Toe the pads in/],
  ])('hands %j over to %s', async (text, agent, answer) => {
    const id = newConversation();
    const { output, workflowId } = await ask(desk.client, id, text);
    expect(workflowId).toBe(`${id}/turn-1.0-${agent}`);
    expect(output).toMatch(answer);
  });

  test('asks where it cannot tell, and then hands over', async () => {
    const id = newConversation();
    const first = await ask(desk.client, id, 'I have a problem with the bicycle that I bought.');
    expect(first).toMatchObject({ workflowId: id, output: expect.stringContaining('billing or technical?') });
    const second = await ask(desk.client, id, 'It is the chain: it skips.');
    expect(second).toMatchObject({
      workflowId: `${id}/turn-2.0-technical`,
      output: expect.stringContaining('adjust the derailleur'),
    });
  });

  test('is not needed again: the agent that has the conversation passes it on', async () => {
    const id = newConversation();
    await ask(desk.client, id, 'Where is A-1050?');
    const { workflowId, output } = await ask(desk.client, id, 'Please refund 10 euros for A-1034.');
    expect(workflowId).toMatch(/-orders\/turn-\d\.0-billing$/);
    expect(output).toContain('€10.00 of order A-1034');
  });
});

describe('a refund', () => {
  test('within the limit runs at once', async () => {
    const id = newConversation();
    const { output } = await ask(desk.client, id, 'Please refund 15,90 euros for A-1049: the tape is torn.');
    expect(output).toBe('I have refunded €15.90 of order A-1049; €119.00 of it are left.');
    expect(desk.shop.refundsOf('A-1049')).toMatchObject([{ amount: 15.9 }]);
  });

  test('over the limit waits, and runs once when a person approves it', async () => {
    const id = newConversation();
    const { reply } = await desk.client.send('triage', id, 'A-1040 is lost. I want all of my money back.');
    const call = await waitingCall(desk.client, id);
    expect(call).toMatchObject({
      agent: 'billing',
      tool: 'refund',
      arguments: { order_id: 'A-1040', amount: 179 },
    });
    expect(desk.shop.refundsOf('A-1040')).toEqual([]);
    await desk.client.get(id).decide(call.id, { verdict: 'approve', digest: call.digest, by: 'Ada' });
    expect((await reply()).output).toBe('I have refunded €179.00 of order A-1040; €0.00 of it are left.');
    expect(desk.shop.refundsOf('A-1040')).toMatchObject([{ order_id: 'A-1040', amount: 179 }]);
  });

  test('that is rejected is not made, and the customer is told why', async () => {
    const id = newConversation();
    const { reply } = await desk.client.send(
      'triage',
      id,
      'Refund A-1047 in full, I do not like the colour.',
    );
    const call = await waitingCall(desk.client, id);
    await desk.client.get(id).decide(call.id, { verdict: 'reject', reason: 'it has been ridden', by: 'Ada' });
    expect((await reply()).output).toBe(
      'A colleague has not approved the refund of €899.00 for order A-1047: it has been ridden',
    );
    expect(desk.shop.refundsOf('A-1047')).toEqual([]);
  });

  test('within the limit waits all the same where the order has had its share', async () => {
    const id = newConversation();
    await ask(desk.client, id, 'Please refund 60 euros for A-1035.');
    const { reply } = await desk.client.send('triage', id, 'Please refund another 60 euros for A-1035.');
    const call = await waitingCall(desk.client, id);
    await desk.client.get(id).decide(call.id, { verdict: 'edit', input: { order_id: 'A-1035', amount: 50, reason: 'agreed' }, by: 'Ada' }); // prettier-ignore
    expect((await reply()).output).toContain('€50.00 of order A-1035');
    expect(desk.shop.refundsOf('A-1035').map(({ amount }) => amount)).toEqual([60, 50]);
  });

  test('of more than was paid is refused by the tool, and the customer is told', async () => {
    const { output } = await ask(
      desk.client,
      newConversation(),
      'Please refund 90 euros for A-1037, A-1041.',
    );
    expect(output).toMatch(/could not refund €90.00.*more than can be refunded: A-1041 came to €41.70/);
    expect(desk.shop.refundsOf('A-1041')).toEqual([]);
  });
});

describe("a carrier's unexpected answer", () => {
  test.each([
    ['an error page', 'A-1044', /"502 Bad Gateway"/, /Royal Mail gave no usable answer.*expected on \d{4}-/],
    ['an unknown status', 'A-1052', /LBL_DMG_Q7/, /DHL gave no usable answer.*expected on \d{4}-/],
    ['no place', 'A-1054', /place: /, /Royal Mail gave no usable answer.*expected on \d{4}-/],
  ])('%s is told to the agent, which goes by the order itself', async (_what, order, problem, answer) => {
    const id = newConversation();
    const { output } = await ask(desk.client, id, `Where is ${order}?`);
    expect(output).toMatch(answer);
    const tracked = (await toolCalls(desk.client, id)).filter(([tool]) => tool === 'track_parcel');
    expect(tracked).toEqual([['track_parcel', expect.stringMatching(problem)]]);
  });
});

test('a person takes over from the agent that has the conversation, answers, and hands back', async () => {
  const id = newConversation();
  await ask(desk.client, id, 'Where is A-1042?');
  const run = desk.client.get(id);
  await run.takeOver({ by: 'Ada' });
  const asked = await desk.client.send('triage', id, 'And where is A-1055?');
  await run.say('It is on the van.', { by: 'Ada' });
  expect(await asked.reply()).toMatchObject({ output: 'It is on the van.', by: 'Ada' });
  await run.handBack({ by: 'Ada' });
  expect(await ask(desk.client, id, 'And where is A-1056?')).toMatchObject({
    output: expect.stringMatching(/A-1056 .*DPD reports it as accepted: Freiburg/),
    workflowId: `${id}/turn-1.0-orders`,
  });
});
