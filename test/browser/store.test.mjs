// A visitor buys. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, overflow, widths } from './browser.mjs';
import { call, orders } from './shop.mjs';

const timeout = 90_000;
const [desk, phone] = widths;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function visit(t, path, viewport = desk, storage = {}) {
  const opened = await open(browser, path, { ...viewport, storage });
  t.after(() => opened.context.close());
  return opened;
}

const oneTea = { 'cartwheel.basket': [{ sku: 'green-tea', quantity: 1 }] };

async function fill(page, { name = 'Grace Hopper', email = 'grace@example.org', card } = {}) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Street and number').fill('1 Navy Yard');
  await page.getByLabel('Postcode').fill('SW1Y 4JH');
  await page.getByLabel('City').fill('London');
  if (card) await page.getByRole('radio', { name: card }).click();
}

const buy = (page) => page.getByRole('button', { name: 'Place the order' });
const headline = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor({ timeout });

for (const viewport of widths) {
  test(`at ${viewport.width} px: from the catalogue to the door, without a reload`, { timeout }, async (t) => {
    const { page, trouble, documents } = await visit(t, '/', viewport);
    await page.getByRole('searchbox').fill('tea');
    await page.getByRole('button', { name: 'Add Green tea to the basket' }).click();
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: 'Frozen' }).click();
    await page.getByRole('button', { name: 'Add Garden peas to the basket' }).click();
    await page.getByRole('button', { name: 'One more of Garden peas' }).click();
    await page.getByRole('link', { name: 'Basket 3 items' }).click();
    await page.getByTestId('basket-total').getByText('€13.47').waitFor();
    assert.equal(await overflow(page), 0, 'the basket scrolls sideways');
    await page.getByRole('link', { name: 'Go to checkout' }).click();
    await fill(page);
    assert.equal(await overflow(page), 0, 'the checkout scrolls sideways');
    await buy(page).click();
    await page.waitForURL('**/track/ord_*');
    // A toast goes after some seconds, whatever else is waited for meanwhile.
    const told = page.getByRole('dialog').getByText(/^(Your order has arrived|Your order is on its way|We sent you a mail)$/).first().waitFor({ timeout });
    told.catch(() => {}); // it is awaited below
    await headline(page, 'Your order has arrived');
    const steps = page.getByRole('region', { name: 'Progress' });
    await steps.getByRole('listitem').filter({ hasText: 'Delivered' }).getByText('Done').waitFor({ timeout });
    for (const mail of ['Order confirmed', 'Order shipped']) {
      const link = page.getByRole('region', { name: 'Mails to you' }).getByRole('link', { name: mail });
      await link.waitFor({ timeout });
    }
    await told;
    await page.getByRole('link', { name: 'Basket 0 items' }).waitFor();
    assert.equal(await overflow(page), 0, 'the order scrolls sideways');
    assert.equal(documents(), 1, 'the page was loaded again');
    assert.deepEqual(trouble, []);
  });
}

test('the link to a mail shows it as it was sent', { timeout }, async (t) => {
  const { page, context } = await visit(t, '/checkout', desk, oneTea);
  await fill(page, { name: 'Mail Reader' });
  await buy(page).click();
  await page.waitForURL('**/track/ord_*');
  const link = page.getByRole('region', { name: 'Mails to you' }).getByRole('link', { name: 'Order confirmed' });
  await link.waitFor({ timeout });
  const [inbox] = await Promise.all([context.waitForEvent('page'), link.click()]);
  await inbox.getByRole('heading', { level: 1 }).waitFor();
  assert.match(await inbox.locator('body').innerHTML(), /Hello Mail Reader/);
});

test('a declined card is told in plain words, and nothing was charged', { timeout }, async (t) => {
  const { page } = await visit(t, '/checkout', phone, oneTea);
  await fill(page, { card: /A declined card/ });
  await buy(page).click();
  await headline(page, 'Your order could not be filled');
  await page.getByText('Your card was not charged.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Cancel order' }).count(), 0);
});

test('a captured payment is refunded in plain words when the courier refuses', { timeout }, async (t) => {
  const { page } = await visit(t, '/checkout', desk, oneTea);
  await fill(page);
  await page.getByRole('combobox', { name: 'Country' }).click();
  await page.getByRole('option', { name: /^Nowhere/ }).click();
  await buy(page).click();
  await headline(page, 'Your order could not be filled');
  await page.getByText('What you paid was refunded in full.').waitFor();
});

test('an order is cancelled while that is possible', { timeout }, async (t) => {
  const { page } = await visit(t, '/checkout', desk, { 'cartwheel.basket': [{ sku: 'stand-mixer', quantity: 2 }] });
  await fill(page); // over the threshold: it waits for a person
  await buy(page).click();
  await headline(page, 'We are taking a second look');
  await page.getByRole('button', { name: 'Cancel order' }).click();
  await page.getByRole('alertdialog').getByLabel(/^Reason/).fill('bought another');
  await page.getByRole('button', { name: 'Cancel the order' }).click();
  await headline(page, 'Your order is cancelled');
  await page.getByText('Bought another.').waitFor();
});

test('the basket survives a reload, and another tab has the same', { timeout }, async (t) => {
  const { page, context } = await visit(t, '/');
  await page.getByRole('button', { name: 'Add Butter to the basket' }).click();
  await page.reload();
  await page.getByRole('link', { name: 'Basket 1 item' }).waitFor();
  const other = await context.newPage();
  await other.goto('/basket');
  await other.getByRole('button', { name: 'One more of Butter' }).click();
  await page.getByRole('link', { name: 'Basket 2 items' }).waitFor();
});

test('what is wrong stands at the field that is wrong, and nothing typed is lost', { timeout }, async (t) => {
  const { page } = await visit(t, '/checkout', phone, oneTea);
  await fill(page, { name: '', email: 'no address' });
  await buy(page).click();
  const name = page.getByLabel('Name');
  await page.waitForFunction(() => document.querySelectorAll('[data-invalid] input, input[aria-invalid="true"]').length >= 2);
  for (const field of [name, page.getByLabel('Email')]) {
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    const described = (await field.getAttribute('aria-describedby')) ?? '';
    const words = await page.evaluate((ids) => ids.map((id) => document.getElementById(id)?.textContent).join(' '), described.split(' ').filter(Boolean));
    assert.ok(words.trim().length > 0, 'the field does not say what is wrong');
  }
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'name', 'the first wrong field has the focus');
  assert.equal(await page.getByLabel('City').inputValue(), 'London');
  assert.equal(await overflow(page), 0);
  await name.fill('Grace');
  await page.getByLabel('Email').fill('grace@example.org');
  await buy(page).click();
  await page.waitForURL('**/track/ord_*');
});

test('more than there is of something is told at its line', { timeout }, async (t) => {
  const { page } = await visit(t, '/checkout', desk, { 'cartwheel.basket': [{ sku: 'truffle-box', quantity: 9000 }] });
  await fill(page);
  await buy(page).click();
  await page.getByRole('complementary', { name: 'Summary' }).getByText(/^Only \d+ are left/).waitFor();
  await page.getByRole('link', { name: 'Change the basket' }).click();
  await page.getByRole('heading', { name: 'Basket' }).waitFor();
});

describe('nobody buys twice', () => {
  test('by a double click', { timeout }, async (t) => {
    const name = `Double ${Date.now()}`;
    const { page } = await visit(t, '/checkout', desk, oneTea);
    await fill(page, { name });
    await buy(page).dblclick();
    await page.waitForURL('**/track/ord_*');
    assert.equal((await orders(name)).length, 1);
  });

  test('when the answer gets lost again and again, also over a reload', { timeout }, async (t) => {
    const name = `Lost ${Date.now()}`;
    const { page } = await visit(t, '/checkout', desk, oneTea);
    await fill(page, { name });
    const keys = [];
    let lost = true;
    await page.route('**/api/orders', async (route) => {
      if (route.request().method() !== 'POST') return route.fallback();
      keys.push(route.request().headers()['idempotency-key']);
      await route.fetch(); // the server gets it
      return lost ? route.abort('connectionreset') : route.fallback();
    });
    await buy(page).click();
    await page.getByText('We do not know yet whether the order arrived.').waitFor({ timeout });
    await page.reload();
    assert.equal(await page.getByLabel('Name').inputValue(), name, 'what was typed is still there');
    lost = false;
    await page.getByRole('button', { name: 'Ask again' }).click();
    await page.waitForURL('**/track/ord_*');
    assert.ok(keys.length > 2);
    assert.equal(new Set(keys).size, 1, 'each try has the same key');
    assert.equal((await orders(name)).length, 1);
  });
});

test('what another shopper takes is gone from the shelf, without a reload', { timeout }, async (t) => {
  const { page, documents } = await visit(t, '/?q=berries');
  const shelf = page.getByTestId('product-berries');
  await shelf.getByText('In stock').waitFor();
  const { on_hand: left } = await call('GET', '/api/stock/berries');
  await call('POST', '/api/orders', {
    customer: { name: 'Greedy', email: 'g@example.org', address: { line1: '1', city: 'London', postcode: 'E1', country: 'GB' } },
    lines: [{ sku: 'berries', quantity: left - 3 }],
    payment_token: 'tok_visa',
  });
  await shelf.getByText('Only 3 left').waitFor({ timeout });
  assert.equal(documents(), 1);
});
