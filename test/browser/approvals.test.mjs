// A person decides about large orders in the console. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, overflow, widths } from './browser.mjs';
import { call, largeOrder } from './shop.mjs';

const timeout = 60_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** The list with an order that came while it was looked at. */
async function withOrder(t, viewport, name) {
  const shown = await open(browser, '/approvals', viewport);
  t.after(() => shown.context.close());
  await shown.page.getByTestId('live').getByText('Live').waitFor();
  const id = await largeOrder({ name });
  const row = shown.page.getByRole('listitem').filter({ hasText: id });
  await row.getByText(name).waitFor({ timeout });
  await row.getByText('is above €500.00').waitFor();
  await row.getByText(/\d+ min \d+ s/).waitFor();
  return { ...shown, id, row };
}

test('an order shows up, is approved with a note, and completes', { timeout }, async (t) => {
  const { page, id, row, trouble, documents } = await withOrder(t, widths[0], 'Alan Turing');
  const left = () => row.locator('time').filter({ hasText: 'min' }).textContent();
  const before = await left();
  await page.waitForFunction(([was]) => ![...document.querySelectorAll('time')].some((e) => e.textContent === was), [before]); // it counts down

  await row.getByRole('button', { name: 'Approve' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.getByLabel('Note').fill('a good customer');
  await dialog.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('goes on').first().waitFor({ timeout });
  await row.waitFor({ state: 'detached', timeout });

  await page.getByRole('link', { name: 'See the order' }).first().click();
  await page.waitForURL(`**/orders/${id}`);
  await page.getByRole('main').getByText('Completed', { exact: true }).waitFor({ timeout });
  await page.getByText('a good customer').first().waitFor({ timeout });
  await page.getByRole('region', { name: 'Timeline' }).getByText('POST /api/orders/{id}/approve').waitFor({ timeout });
  assert.equal((await call('GET', `/api/orders/${id}`)).approval.note, 'a good customer');
  assert.equal(documents(), 1, 'the page was loaded again');
  assert.deepEqual(trouble, []);
});

test('an order is rejected with a reason, which its customer reads', { timeout }, async (t) => {
  const { page, id, row, trouble } = await withOrder(t, widths[1], 'Emmy Noether');
  assert.equal(await overflow(page), 0, 'the page scrolls sideways');
  await row.getByRole('button', { name: 'Reject' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.getByLabel('Reason').fill('too good to be true');
  await dialog.getByRole('button', { name: 'Reject' }).click();
  await row.waitFor({ state: 'detached', timeout });

  await page.goto(`/track/${id}`);
  await page.getByRole('heading', { name: 'Your order could not be filled' }).waitFor({ timeout });
  await page.getByText('too good to be true').waitFor();
  await page.getByText('Your card was not charged.').waitFor();
  assert.deepEqual(trouble, []);
});

test('who comes too late is told so', { timeout }, async (t) => {
  const { page, id, row, trouble } = await withOrder(t, widths[0], 'Hedy Lamarr');
  await row.getByRole('button', { name: 'Approve' }).click();
  await call('POST', `/api/orders/${id}/cancel`, {});
  await page.getByRole('alertdialog').getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('alertdialog').getByText('The order has gone too far for that.').waitFor({ timeout });
  assert.deepEqual(trouble, []);
});
