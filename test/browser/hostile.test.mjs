// What nobody hopes for and somebody sends: names, prices and addresses at the edge
// of what is allowed, each of which has to look intended. BASE_URL names a running
// shop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, launch, open, overflow, widths } from './browser.mjs';
import { settled } from './pages.mjs';
import { call, placeOrder, untilStatus } from './shop.mjs';

const timeout = 90_000;
const [desk, phone] = widths;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function visit(t, path, viewport) {
  const opened = await open(browser, path, viewport);
  opened.page.on('dialog', (dialog) => {
    opened.trouble.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  t.after(() => opened.context.close());
  return opened.page;
}

const names = {
  'a script': '<script>alert(document.domain)</script>',
  'a picture that is none': '"><img src=x onerror=alert(1)>',
  'a very long word': 'Llanfairpwllgwyngyll'.repeat(10),
  'a very long name': 'Pablo Diego José Francisco de Paula Juan Nepomuceno '.repeat(4).trim().slice(0, 200),
  'from right to left': 'שלום עולם (بيت) 42',
  'a direction that is turned and never turned back': '\u202Enohtyp\u202E 99.99',
  'marks upon marks': `Z${'\u0301\u0323'.repeat(40)}oe`,
  'hieroglyphs and families': '𓀀𓁐 👩‍👩‍👧‍👦 नमस्ते',
};

describe('a name', () => {
  for (const [what, name] of Object.entries(names)) {
    test(what, { timeout }, async (t) => {
      const id = await placeOrder({ name });
      await untilStatus(id, 'completed');
      for (const viewport of [desk, phone]) {
        const list = await visit(t, `/orders?q=${id}`, viewport);
        const row = list.getByRole('row').filter({ has: list.getByRole('link', { name: id }) });
        await row.getByText('Completed').waitFor();
        assert.equal(await row.locator('bdi').textContent(), name);
        assert.equal(await overflow(list), 0, 'the list scrolls sideways');
        // What is beside it stays in its place, whatever direction a name has.
        const [total, frame] = await Promise.all([row.locator('[data-look=strong]').boundingBox(), list.getByRole('table').boundingBox()]);
        assert.ok(total.x >= frame.x && total.x + total.width <= frame.x + frame.width + 1, 'the total is out of the table');
        assert.match(await row.locator('[data-look=strong]').textContent(), /^€\d+\.\d\d$/);

        const order = await visit(t, `/orders/${id}`, viewport);
        await order.getByRole('main').getByText('Completed', { exact: true }).waitFor();
        assert.equal(await order.locator('main header bdi').first().textContent(), name);
        assert.equal(await overflow(order), 0, 'the order scrolls sideways');
        assert.deepEqual(await findings(order), []);
      }
    });
  }
});

test('a price of 0', { timeout }, async (t) => {
  const { order_id: id } = await call('POST', '/api/channel-orders', {
    channel: 'fair',
    external_id: crypto.randomUUID(),
    ordered_at: '1997-01-12T00:00:00Z',
    customer: { name: 'Gift', email: 'gift@example.org' },
    lines: [{ sku: 'cd', quantity: 1, total: { amount: 0, currency: 'EUR' } }],
    payment_token: 'tok_visa',
  });
  await untilStatus(id, 'completed');
  const list = await visit(t, `/orders?q=${id}`, desk);
  await list.getByRole('row').filter({ has: list.getByRole('link', { name: id }) }).getByText('€0.00', { exact: true }).waitFor();
  for (const path of [`/orders/${id}`, `/track/${id}`]) {
    const page = await visit(t, path, phone);
    await page.getByText('€0.00').first().waitFor();
    await page.getByRole('region', { name: 'Progress' }).getByText('Skipped').first().waitFor();
    assert.equal(await overflow(page), 0);
  }
});

describe('an address that leads nowhere', () => {
  const long = 'x'.repeat(2000);
  for (const [path, words] of [
    ['/orders/ord_that_never_was', 'There is no such order'],
    ['/orders/%3Cscript%3Ealert(1)%3C%2Fscript%3E', 'There is no such order'],
    ['/orders/..%2F..%2Fhealthz', 'There is no such order'],
    [`/orders/${long}`, 'There is no such order'],
    ['/orders/%F0%9F%A6%84', 'There is no such order'],
    ['/track/ord_that_never_was', 'There is no such order'],
    ['/dead-letters/no.such.group/0/0', 'There is no such dead letter'],
    ['/scenarios/no-such-scenario', 'no-such-scenario'],
    ['/no/such/page', 'There is no such page'],
    [`/${long}`, 'There is no such page'],
    ['/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E', 'There is no such page'],
    ['/orders?status=nonsense&q=%3Cnobody%3E', 'No order'],
    ['/?q=%22%3E%3Cscript%3E&storage=lukewarm', 'Nothing'],
  ]) {
    test(path.slice(0, 60), { timeout }, async (t) => {
      for (const viewport of [desk, phone]) {
        const page = await visit(t, path, viewport);
        await page.getByRole('main').getByText(words).first().waitFor();
        await settled(page);
        assert.equal(await overflow(page), 0, 'the page scrolls sideways');
        assert.ok((await page.getByRole('main').getByRole('link').count()) + (await page.getByRole('main').getByRole('button').count()) > 0, 'there is no way on');
      }
    });
  }
});
