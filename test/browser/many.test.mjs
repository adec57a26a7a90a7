// Ten thousand orders, and two hundred changes a second: on a shop of its own, whose
// saga engine is away, so that nothing but the test changes them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { crowd } from './crowd.mjs';
import { describeFrames, watchFrames } from './frames.mjs';
import { findings, launch, open, overflow, widths } from './browser.mjs';
import { Shop, allOrders, until } from './shop.mjs';
import { rows, untilEqual, untilLive } from './table.mjs';

const timeout = 240_000;
const [desk, phone] = widths;
const seconds = 10; // burst.mjs takes longer, and tells how long frames took

let browser, shop;
before(async () => {
  shop = await Shop.withoutSagas();
  browser = await launch();
}, { timeout });
after(async () => {
  await browser?.close();
  await shop?.remove();
}, { timeout });

async function visit(t, path, viewport = desk) {
  const opened = await open(browser, path, { ...viewport, baseURL: shop.baseURL });
  opened.page.setDefaultTimeout(90_000);
  t.after(() => opened.context.close());
  return opened;
}

const more = (page) => page.getByRole('button', { name: 'Load more' });

/** Fills the shop, once. */
let filling;
const filled = () => (filling ??= crowd(shop, ['-orders', '10000']));

/** Loads the list to its end. */
async function loadAll(page) {
  const end = page.getByText('That is all.');
  await more(page).or(end).waitFor();
  while (await more(page).count()) {
    const before = await page.getByRole('table', { name: 'Orders' }).getAttribute('aria-rowcount');
    await more(page).click();
    await page.waitForFunction((n) => document.querySelector('table[aria-label=Orders]').getAttribute('aria-rowcount') !== n, before);
  }
  await end.waitFor();
}

/** Everything in the table, screen by screen. */
async function scan(page) {
  const all = new Map();
  await page.evaluate(() => scrollTo(0, 0));
  for (;;) {
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    for (const { id, status } of await rows(page)) all.set(id, status);
    const end = await page.evaluate(() => {
      const before = scrollY;
      scrollBy(0, innerHeight - 100);
      return scrollY === before;
    });
    if (end) return all;
  }
}

test('a shop without any says on each page what is missing, and how to get it', { timeout }, async (t) => {
  for (const [path, words] of [
    ['/orders', 'No orders yet'],
    ['/orders?status=shipped', 'No order is shipped'],
    ['/dead-letters', 'No dead letters'],
    ['/tasks', 'Nothing waits for a person'],
    ['/track', 'No orders yet'],
  ]) {
    const { page } = await visit(t, path, phone);
    await page.getByRole('main').getByText(words).first().waitFor();
    assert.deepEqual(await findings(page), []);
  }
});

test('ten thousand orders are loaded, and only those on the screen are in the document', { timeout }, async (t) => {
  await filled();
  const { page } = await visit(t, '/orders');
  await loadAll(page);
  const said = await allOrders('', shop.baseURL);
  assert.ok(said.length >= 10_000 && said.length < 10_100, `${said.length} orders`);
  assert.equal(await page.getByRole('table', { name: 'Orders' }).getAttribute('aria-rowcount'), String(said.length + 1));
  assert.ok((await rows(page)).length < 200, 'rows out of sight are in the document');
  const frames = await watchFrames(page);
  await page.setViewportSize({ width: 1440, height: 4000 });
  const seen = await scan(page);
  assert.deepEqual([...seen], said.map((o) => [o.order_id, o.status]));
  t.diagnostic(`scrolled through: ${describeFrames(await frames())}`);
  await page.setViewportSize(desk);
  // The keyboard goes on where the eye is, past what was in the document.
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  const early = await page.evaluate(() => {
    scrollTo(0, 0); // the rows at the end are in the document still
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'j', bubbles: true }));
    return scrollY;
  });
  assert.equal(early, 0, 'a key that came before the rows led far away');
  for (const { order_id: id } of said.slice(0, 40)) {
    await until(async () => {
      if ((await focused()) !== id) await page.keyboard.press('j'); // at the last row that is there, it waits for the next
      return (await focused()) === id;
    });
  }
  assert.deepEqual(await findings(page), []);
});

test('a filter and a search find their orders among ten thousand', { timeout }, async (t) => {
  await filled();
  const { page } = await visit(t, '/orders', phone);
  await page.getByRole('button', { name: 'Awaiting approval' }).click();
  await loadAll(page);
  const said = await allOrders('status=awaiting_approval', shop.baseURL);
  assert.deepEqual([...(await scan(page))], said.map((o) => [o.order_id, 'awaiting_approval']));
  await page.evaluate(() => scrollTo(0, 0));
  await page.getByRole('button', { name: 'All', exact: true }).click();
  await page.getByRole('searchbox').fill('Shopper 777');
  const found = await allOrders('q=Shopper%20777', shop.baseURL);
  assert.ok(found.length > 1 && found.length < 50);
  await page.getByText('That is all.').waitFor();
  await page.waitForFunction((n) => document.querySelectorAll('tbody tr[data-index]').length === n, found.length);
  assert.deepEqual((await rows(page)).map((r) => r.id), found.map((o) => o.order_id));
  assert.equal(await overflow(page), 0, 'the page scrolls sideways');
});

test('two hundred changes a second, at the top of the list and far into it: after them the table is what the API says', { timeout }, async (t) => {
  await filled();
  const [top, deep] = [await visit(t, '/orders'), await visit(t, '/orders')];
  await loadAll(deep.page);
  for (const { page } of [top, deep]) await untilLive(page);
  const frames = await Promise.all([top, deep].map(({ page }) => watchFrames(page)));
  const { changes, seconds: took } = await crowd(shop, ['-changes', '200', '-for', `${seconds}s`]);
  t.diagnostic(`${changes} changes in ${took.toFixed(1)} s`);
  assert.equal(changes, 200 * seconds);
  t.diagnostic(`at the top: ${describeFrames(await frames[0]())}`);
  t.diagnostic(`far into it: ${describeFrames(await frames[1]())}`);
  await untilEqual(top.page, shop.baseURL);
  // Who reads further down is told, and decides when rows may move.
  await deep.page.getByRole('button', { name: /^\d+ new orders$/ }).click();
  await untilEqual(deep.page, shop.baseURL);
  assert.equal(top.documents() + deep.documents(), 2, 'a page was loaded again');
});
