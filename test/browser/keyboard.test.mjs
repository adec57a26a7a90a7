// Without a mouse. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, visit, widths } from './browser.mjs';
import { pages, settled } from './pages.mjs';
import { placeOrder, until, untilStatus } from './shop.mjs';

const timeout = 120_000;
const [desk] = widths;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('j and k go through the orders, Enter opens one', { timeout }, async (t) => {
  for (let i = 0; i < 3; i++) await untilStatus(await placeOrder(), 'completed');
  const { page, context, documents } = await open(browser, '/orders', desk);
  t.after(() => context.close());
  await settled(page);
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  const ids = await page.locator('[data-row]').allTextContents();
  for (const [key, want] of [['j', 0], ['j', 1], ['j', 2], ['k', 1], ['ArrowDown', 2], ['ArrowUp', 1], ['k', 0], ['k', 0], ['j', 1]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), ids[want], `after ${key}`);
  }
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/orders/${ids[1]}`);
  await page.getByTestId('order-id').getByText(ids[1]).waitFor();
  assert.equal(documents(), 1, 'a page was loaded from the server');
});

test('what is typed is typed', { timeout }, async (t) => {
  const { page, context } = await open(browser, '/orders', desk);
  t.after(() => context.close());
  await settled(page);
  const search = page.getByRole('searchbox');
  await search.focus();
  await page.keyboard.type('jk');
  await page.waitForURL('**/orders?q=jk');
  assert.equal(await search.inputValue(), 'jk');
});

test('a filter is chosen with the arrows', { timeout }, async (t) => {
  const { page, context } = await open(browser, '/orders', desk);
  t.after(() => context.close());
  await settled(page);
  await page.getByRole('button', { name: 'All', exact: true }).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/orders?status=pending');
});

test('a dialog takes the focus, keeps it, and gives it back', { timeout }, async (t) => {
  const { page, context } = await open(browser, '/checkout', { ...desk, storage: { 'cartwheel.basket': [{ sku: 'stand-mixer', quantity: 2 }] } });
  t.after(() => context.close());
  for (const [label, value] of Object.entries({ Name: 'Grace', Email: 'grace@example.org', 'Street and number': '1 Navy Yard', Postcode: 'E1', City: 'London' })) {
    await page.getByLabel(label).fill(value);
  }
  await page.keyboard.press('Enter'); // from the last field, as in any form
  await page.getByRole('heading', { name: 'We are taking a second look' }).waitFor({ timeout });
  const cancel = page.getByRole('button', { name: 'Cancel order' });
  await cancel.focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('alertdialog');
  await dialog.waitFor();
  for (let i = 0; i < 8; i++) {
    await until(() => dialog.evaluate((d) => d.contains(document.activeElement)));
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await until(() => cancel.evaluate((b) => b === document.activeElement));
});

// Everything that a mouse can press or fill has the focus at some time on the way
// through the page with Tab, or is one of a group that has it, whose arrows go on;
// and it shows.
for (const one of pages) {
  test(`everything on ${one.name} is reached with Tab, and shows it`, { timeout }, async (t) => {
    const { page, context } = await visit(browser, one, desk);
    t.after(() => context.close());
    await settled(page, one);
    await page.evaluate(() => {
      const wanted = 'a[href], button, input, select, textarea, summary, [role=button], [role=tab], [role=combobox], [role=slider]';
      const grouped = '[role=group], [role=radiogroup], [role=toolbar], [role=tablist]';
      const name = (e) => `${e.tagName.toLowerCase()} ${e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 40)}`;
      const here = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && !e.closest('[inert], [aria-hidden=true]');
      globalThis.reached = new Set();
      globalThis.dim = new Set();
      globalThis.look = () => {
        const e = document.activeElement;
        if (e === document.body || globalThis.reached.has(e)) return false;
        globalThis.reached.add(e);
        const lit = [e, e.parentElement, ...e.parentElement.children].flatMap((x) => [getComputedStyle(x), getComputedStyle(x, '::after'), getComputedStyle(x, '::before')]);
        if (!lit.some((s) => s.outlineStyle !== 'none' && s.outlineWidth !== '0px')) globalThis.dim.add(name(e));
        return true;
      };
      globalThis.missed = () =>
        [...document.querySelectorAll(wanted)].filter(here).filter((e) => {
          if (globalThis.reached.has(e)) return false;
          const group = e.tabIndex < 0 && e.closest(grouped);
          return !(group && [...globalThis.reached].some((r) => group.contains(r)));
        }).map(name);
    });
    for (let more = true; more; ) {
      await page.keyboard.press('Tab');
      more = await page.evaluate(() => globalThis.look());
    }
    // What came meanwhile behind the focus, as a toast does, is on the next way round.
    for (let before = -1; ; ) {
      const [missed, reached] = await page.evaluate(() => [globalThis.missed().length, globalThis.reached.size]);
      if (missed === 0 || reached === before) break;
      before = reached;
      for (let i = 0; i < reached + missed + 2; i++) {
        await page.keyboard.press('Tab');
        await page.evaluate(() => globalThis.look());
      }
    }
    assert.deepEqual(await page.evaluate(() => globalThis.missed()), [], 'not reached');
    assert.deepEqual(await page.evaluate(() => [...globalThis.dim]), [], 'nothing shows that it has the focus');
  });
}
