// The console shows an order's way as it goes. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, overflow, widths } from './browser.mjs';
import { placeOrder } from './shop.mjs';

const timeout = 60_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const viewport of widths) {
  describe(`at ${viewport.width} px`, () => {
    test('an order shows up in the list and completes there, without a reload', { timeout }, async (t) => {
      const { page, context, trouble, documents } = await open(browser, '/orders', viewport);
      t.after(() => context.close());
      await page.getByTestId('live').getByText('Live').waitFor();

      const id = await placeOrder({ name: `Ada at ${viewport.width}` });
      const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: id }) });
      await row.getByText(`Ada at ${viewport.width}`).waitFor({ timeout });
      await row.getByText('Completed').waitFor({ timeout });

      assert.equal(documents(), 1, 'the page was loaded again');
      assert.equal(await overflow(page), 0, 'the page scrolls sideways');
      assert.deepEqual(trouble, []);
    });

    test("an order's page follows it to its end, without a reload", { timeout }, async (t) => {
      const id = await placeOrder();
      const { page, context, trouble, documents } = await open(browser, `/orders/${id}`, viewport);
      t.after(() => context.close());
      const progress = page.getByRole('region', { name: 'Progress' });
      const timeline = page.getByRole('region', { name: 'Timeline' });

      await page.getByTestId('order-id').getByText(id).waitFor();
      await page.getByRole('main').getByText('Completed', { exact: true }).waitFor({ timeout });
      await progress.getByRole('listitem').filter({ hasText: 'Delivery' }).getByText('Done').waitFor({ timeout });
      for (const name of ['POST /api/orders', 'order.confirmed.v1', 'order.completed.v1']) {
        await timeline.getByText(name).first().waitFor({ timeout });
      }
      assert.equal(await page.getByRole('button', { name: 'Cancel order' }).count(), 0, 'a completed order cannot be cancelled');

      // Each consumer group of a fact is there, with what became of it.
      for (const [fact, groups] of [
        ['order.created.v2', ['read: order.start-saga', 'took effect: analytics.facts']],
        ['order.confirmed.v1', ['took effect: notification.mails', 'took effect: analytics.facts']],
        ['order.shipped.v1', ['took effect: analytics.sales', 'took effect: analytics.products']],
      ]) {
        const list = timeline.getByRole('list', { name: `What became of ${fact} in each consumer group` });
        for (const [state, group] of groups.map((g) => g.split(': '))) {
          await list.getByRole('listitem').filter({ hasText: group }).getByRole('img', { name: state }).waitFor({ timeout });
        }
      }

      // An entry opens on its raw detail, which may be wide.
      await timeline.getByRole('button', { name: /Event.*order\.completed\.v1/ }).first().click();
      await timeline.getByText('"event_id"').first().waitFor();

      assert.equal(documents(), 1, 'the page was loaded again');
      assert.equal(await overflow(page), 0, 'the page scrolls sideways');
      assert.deepEqual(trouble, []);
    });
  });
}

test('the list leads to an order and back, and keeps its filter', { timeout }, async (t) => {
  const id = await placeOrder();
  const { page, context, documents } = await open(browser, '/orders', widths[0]);
  t.after(() => context.close());
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: id }) });
  await row.getByText('Completed').waitFor({ timeout });

  await page.getByRole('group', { name: 'Status' }).getByRole('button', { name: 'Completed' }).click();
  await page.waitForURL('**/orders?status=completed');
  await page.getByRole('link', { name: id }).click();
  await page.getByTestId('order-id').getByText(id).waitFor();
  await page.goBack();
  await page.waitForURL('**/orders?status=completed');
  await page.getByRole('link', { name: id }).waitFor();
  assert.equal(documents(), 1, 'a page was loaded from the server');
});

test('a declined card is told in plain words', { timeout }, async (t) => {
  const id = await placeOrder({ token: 'tok_declined' });
  const { page, context } = await open(browser, `/orders/${id}`, widths[1]);
  t.after(() => context.close());
  await page.getByText('Rejected:').waitFor({ timeout });
  const progress = page.getByRole('region', { name: 'Progress' });
  const failed = progress.getByRole('listitem').filter({ hasText: /Authorise payment\s*Failed, undone/ });
  await failed.waitFor({ timeout }); // the page has followed the saga to the end of its undoing
  await progress.getByText('the bank declined the card').waitFor({ timeout });
  assert.equal(await overflow(page), 0, 'the page scrolls sideways');
});

test('an unknown order is not an error of the page', { timeout }, async (t) => {
  const { page, context, trouble } = await open(browser, '/orders/ord_that_never_was', widths[0]);
  t.after(() => context.close());
  await page.getByRole('heading', { name: 'There is no such order' }).waitFor();
  assert.deepEqual(trouble, []);
});
