// Sales and sensors as the console draws them, against what the API says. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, overflow, widths } from './browser.mjs';
import { call, coldRoom, placeOrder } from './shop.mjs';

const timeout = 60_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Waits until a question to the API has an answer that will do. */
async function until(ask, ok) {
  for (;;) {
    const answer = await ask();
    if (ok(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

for (const viewport of widths) {
  test(`an order is among the sales, without a reload, at ${viewport.width} px`, { timeout }, async (t) => {
    const { page, context, trouble, documents } = await open(browser, '/sales', viewport);
    t.after(() => context.close());
    const today = new Date().toISOString().slice(0, 10);
    const sold = async () => {
      const { items } = await call('GET', `/api/sales?from=${today}&to=${today}`);
      return items[0]?.orders ?? 0;
    };
    const before = await sold();
    await placeOrder();
    const now = await until(sold, (n) => n > before);
    const figure = page.locator('dl > div').filter({ hasText: 'Orders' }).locator('dd');
    await figure.filter({ hasText: new RegExp(`^${now}$`) }).waitFor({ timeout });

    await page.locator('.recharts-bar-rectangle').first().waitFor({ timeout });
    await page.getByText('in the last hour').waitFor();
    const { items } = await call('GET', `/api/sales/products?from=${today}&to=${today}&limit=1`);
    const { items: products } = await call('GET', '/api/products?limit=200');
    const { name } = products.find((p) => p.sku === items[0].sku);
    await page.getByRole('region', { name: 'Best sellers' }).getByText(name).waitFor({ timeout });

    // The same in figures, for those who do not see charts.
    await page.getByText('As a table').first().click();
    const table = page.getByRole('table', { name: 'Revenue per day' });
    const headers = await table.getByRole('columnheader').allTextContents();
    const orders = table.getByRole('row').nth(1).getByRole('cell').nth(headers.indexOf('Orders'));
    await orders.filter({ hasText: new RegExp(`^${now}$`) }).waitFor();
    assert.equal(await overflow(page), 0, 'the page scrolls sideways');
    assert.equal(documents(), 1, 'the page was loaded again');
    assert.deepEqual(trouble, []);
  });
}

test('a cold room that got too warm is seen, with its minutes and its anomaly', { timeout }, async (t) => {
  const device = await coldRoom();
  const { page, context, trouble } = await open(browser, '/sensors', widths[0]);
  t.after(() => context.close());
  const zone = page.getByRole('region', { name: 'Chilled, warehouse' });
  await zone.getByText(device, { exact: true }).first().waitFor({ timeout });
  const { items } = await call('GET', '/api/sensors');
  const sensor = items.find((s) => s.device === device);
  await zone.getByText(`${sensor.value.toFixed(1)} °C`).first().waitFor();
  await zone.getByRole('list', { name: 'Anomalies of Chilled, warehouse' }).getByText('Too warm').first().waitFor();
  await zone.locator('.recharts-line-curve').first().waitFor();
  await zone.locator('.recharts-reference-dot').first().waitFor();

  await zone.getByText('As a table').click();
  const rows = zone.getByRole('row').filter({ hasText: device });
  await rows.first().waitFor();
  assert.equal(await rows.count(), sensor.windows.length);
  assert.deepEqual(trouble, []);
});
