import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BrowserPage, findBrowser } from '../support/browser.ts';
import { newConversation, startDesk, type RunningDesk } from './running-desk.ts';

const program = findBrowser();
const without = program === undefined ? ' (skipped: no browser; name one by CADENZA_BROWSER)' : '';
/** Where screenshots are kept for whoever wants to look at them. */
const pictures = process.env['CADENZA_SCREENSHOTS'];

let desk: RunningDesk;
let page: BrowserPage & AsyncDisposable;

beforeAll(async () => {
  if (program === undefined) return;
  desk = await startDesk();
  page = await BrowserPage.open(program);
});
afterAll(async () => {
  await page?.[Symbol.asyncDispose]();
  await desk?.stop();
});

const shows = async (text: string) =>
  await page.until(`document.getElementById('log').innerText.includes(${JSON.stringify(text)})`);
const says = async (text: string, button = '#send') => {
  await page.type('#text', text);
  await page.click(button);
  await page.until('document.getElementById("text").value === ""');
};
const lines = async () =>
  await page.read<string[]>(
    `[...document.querySelectorAll('#log > li:not([hidden])')].map((line) => line.innerText)`,
  );

/** Keeps a picture, where somebody asked for them. */
const keep = async (name: string) => {
  const picture = await page.screenshot();
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  writeFileSync(join(pictures, `${name}.png`), picture);
};

describe.skipIf(program === undefined)(`the desk's page in a browser${without}`, () => {
  test('answers, shows what is looked up, and has a refund approved', async () => {
    await page.goTo(desk.url);
    await keep('empty');
    await says('Where is my order A-1044?');
    await shows('Royal Mail gave no usable answer');
    await shows('Handed over to orders');
    await shows('✗ track_parcel {"order_id":"A-1044"}');
    await says('A-1040 is lost, please refund all of it.');
    await shows('refund waits for approval');
    await page.until(`document.querySelector('#approvals dd').innerText === 'A-1040'`);
    expect(await page.read(`document.querySelectorAll('#approvals dd')[1].innerText`)).toBe('€179.00');
    await keep('light');
    await page.scheme('dark');
    await keep('dark');
    expect(desk.shop.refundsOf('A-1040')).toEqual([]);
    await page.type('#approvals input', 'the carrier lost it');
    await page.click('#approvals button.main');
    await shows('Ada decided: approve (the carrier lost it)');
    await shows('I have refunded €179.00 of order A-1040');
    await page.until('document.querySelectorAll("#approvals li").length === 0');
    expect(desk.shop.refundsOf('A-1040')).toHaveLength(1);
  });

  test('after a reload shows the same, in the same order', async () => {
    const before = await lines();
    expect(before.length).toBeGreaterThan(8);
    await page.read('location.reload()');
    await shows('I have refunded €179.00 of order A-1040');
    expect(await lines()).toEqual(before);
  });

  test('lets a person reject a refund, with the reason', async () => {
    await page.click('#new');
    await page.until('!document.getElementById("empty").hidden');
    await says('Please refund A-1047 in full.');
    await page.type('#approvals input', 'it has been ridden');
    await page.click('#approvals button:not(.main)');
    await shows('A colleague has not approved the refund of €899.00 for order A-1047: it has been ridden');
    expect(desk.shop.refundsOf('A-1047')).toEqual([]);
  });

  test('has a link back to each conversation that was begun in the browser', async () => {
    await page.click('#links a');
    await shows('I have refunded €179.00 of order A-1040');
  });

  test('lets a person take over, say something, and hand back', async () => {
    await page.click('#take-over');
    await shows('Ada has taken over');
    await says('Can I talk to somebody?');
    await says('You do. I am Ada.', '#say');
    await shows('You do. I am Ada.');
    await keep('taken-over');
    await page.click('#hand-back');
    await shows('Ada has handed back');
    await says('Where is A-1042?');
    await shows('DPD reports it as in transit');
    await page.click('#close');
    await shows('The conversation has ended');
    await page.type('#text', 'Hello?');
    await page.click('#send');
    await page.until('document.getElementById("problem").innerText.includes("has ended")');
  });
});

describe.skipIf(program === undefined)(
  `the desk's page in a browser, whatever is said and wherever${without}`,
  () => {
    test('shows what customers write as text', async () => {
      const id = newConversation();
      const text = '<img src=x onerror="document.title=1"><b>bold</b>';
      await (await desk.client.send('triage', id, text)).reply();
      await page.goTo(`${desk.url}/?2#${id}`);
      await shows(text);
      expect(await page.read('document.querySelectorAll("#log img, #log .customer b b").length')).toBe(0);
      expect(await page.read('document.title')).toBe('Support desk');
    });

    test('fits a phone', async () => {
      await page.goTo(`${desk.url}/?3`, { width: 390, height: 844 });
      await page.scheme('light');
      await says('Please refund 130 euros for A-1038 because the light flickers whatever I do');
      await page.until('document.querySelector("#approvals dd")');
      expect(await page.read('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
      await keep('phone-top');
      await page.read('document.querySelector("#approvals").scrollIntoView()');
      await keep('phone-approvals');
      await page.click('#approvals button:not(.main)');
      await page.until('document.querySelectorAll("#approvals li").length === 0');
    });

    test('breaks no rule of its own', () => {
      // A refusal of the backend, which the page shows, is the only thing that a browser notes.
      expect(page.problems.filter((problem) => !problem.includes('status of 409'))).toEqual([]);
    });
  },
);
