// What the shop has written, as it was sent. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, overflow, widths } from './browser.mjs';
import { call, placeOrder } from './shop.mjs';

const timeout = 60_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const viewport of widths) {
  test(`an order's mail is read as it was sent, at ${viewport.width} px`, { timeout }, async (t) => {
    const name = `<script>alert("Bobby")</script> at ${viewport.width}`;
    const id = await placeOrder({ name });
    const { page, context, trouble } = await open(browser, `/orders/${id}`, viewport);
    t.after(() => context.close());
    await page.getByRole('region', { name: 'Mails' }).getByRole('link', { name: 'Order confirmed' }).click({ timeout });
    await page.getByRole('heading', { name: 'Your order is confirmed' }).waitFor({ timeout });

    const frame = page.frameLocator('iframe');
    await frame.getByText(`Hello ${name},`).waitFor();
    await frame.getByText(id).waitFor();
    await page.getByRole('button', { name: 'Text' }).click();
    await page.locator('pre').getByText(`Hello ${name},`).waitFor();
    assert.equal(await overflow(page), 0, 'the page scrolls sideways');

    // From the list too, which has every mail.
    await page.getByRole('link', { name: 'Mails' }).first().click();
    await page.waitForURL('**/mails');
    const { items } = await call('GET', `/api/emails?order_id=${id}`);
    await page.locator(`a[href="/mails/${items.at(-1).id}"]`).waitFor({ timeout });
    assert.deepEqual(trouble, []);
  });
}
