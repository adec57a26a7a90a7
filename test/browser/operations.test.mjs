// What an engineer does in the console: scenarios by their buttons, dead letters,
// the invariants. BASE_URL names a running shop that offers scenarios.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, launch, open, overflow, widths } from './browser.mjs';
import { Shop, call, deadLetter, placeOrder, playScenario } from './shop.mjs';

const timeout = 240_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

// Parameters that are small enough for a test, by the name of their field.
const small = { 'service-killed': { 'seconds that it stays dead': 0 }, 'broker-away': { 'seconds that it is away': 1, 'orders meanwhile': 5 }, race: { shoppers: 60 } };

describe('every scenario has a button, and goes as promised', { timeout: 20 * 60_000 }, async () => {
  const { items } = await call('GET', '/api/scenarios');
  let shown;
  before(async () => {
    shown = await open(browser, '/scenarios', widths[0]);
  });
  after(() => shown?.context.close());
  for (const { name, title, available, unavailable, promises } of items) {
    test(title, { timeout }, async () => {
      const { page, trouble } = shown;
      await page.getByRole('navigation', { name: 'Scenarios' }).getByRole('link', { name: title }).click();
      await page.waitForURL(`**/scenarios/${name}`);
      const card = page.getByRole('region', { name: title });
      for (const promise of promises) await card.getByText(promise).waitFor(); // said beforehand
      if (!available) {
        await card.getByText(unavailable).waitFor();
        assert.ok(await card.getByRole('button', { name: title }).isDisabled());
        return;
      }
      for (const [label, value] of Object.entries(small[name] ?? {})) await card.getByRole('spinbutton', { name: label }).fill(String(value));
      const answer = page.waitForResponse((r) => r.url().endsWith(`/api/scenarios/${name}`));
      await card.getByRole('button', { name: title }).click();
      const { id } = await (await answer).json(); // it may have been played before
      await page.locator(`[data-run=${id}]`).getByText('Everything happened as promised').waitFor({ timeout });
      assert.equal(await card.getByRole('img', { name: 'Holds', exact: true }).count(), promises.length);
      assert.ok((await page.getByRole('region', { name: 'What happens' }).getByRole('listitem').count()) > 1, 'it does not say what happened');
      assert.equal(await overflow(page), 0, 'the page scrolls sideways');
      assert.deepEqual(trouble, []);
    });
  }
});

test('a dead letter is shown with its bytes, and redriven after a dry run', { timeout }, async (t) => {
  const id = await deadLetter();
  const { page, context, trouble } = await open(browser, '/dead-letters', widths[1]);
  t.after(() => context.close());
  await page.getByRole('row').filter({ hasText: 'notification.mails' }).first().waitFor({ timeout });
  await page.goto(`/dead-letters/${id}`);
  await page.getByText('"poison"').waitFor({ timeout });
  await page.getByText('unexpected end of JSON input').waitFor();

  await page.getByRole('button', { name: 'Redrive' }).click();
  const dialog = page.getByRole('alertdialog');
  await dialog.getByText('1 would be handed back').waitFor({ timeout });
  await dialog.getByText('only a dry run').waitFor();
  assert.equal(await stateOf(id), 'dead', 'the dry run has changed something');
  await dialog.getByRole('button', { name: 'Redrive 1' }).click();
  await page.getByText('1 handed back to its group').waitFor({ timeout });
  await page.getByRole('main').getByText('Handed back', { exact: true }).first().waitFor({ timeout });
  assert.equal(await stateOf(id), 'redriven');

  // A second time it is held back, and says why.
  await page.getByRole('button', { name: 'Redrive' }).click();
  await dialog.getByText('1 was handed back already').waitFor({ timeout });
  assert.equal(await overflow(page), 0, 'the page scrolls sideways');
  assert.deepEqual(trouble, []);
});

for (const viewport of widths) {
  test(`dead letters are selected and redriven together, at ${viewport.width} px`, { timeout }, async (t) => {
    await playScenario('poison-message');
    const { items } = await call('GET', '/api/dead-letters?limit=2&state=dead');
    const ids = items.map((l) => l.id);
    assert.equal(ids.length, 2);
    const { page, context, trouble } = await open(browser, '/dead-letters', viewport);
    t.after(() => context.close());
    for (const id of ids) await page.getByRole('checkbox', { name: id }).check({ timeout });
    assert.equal(await overflow(page), 0, 'the page scrolls sideways');
    assert.deepEqual(await findings(page), []);
    await page.getByRole('button', { name: 'Redrive 2 …' }).click();
    const dialog = page.getByRole('alertdialog');
    await dialog.getByText('2 would be handed back').waitFor({ timeout });
    for (const id of ids) assert.equal(await stateOf(id), 'dead', 'the dry run has changed something');
    await dialog.getByRole('button', { name: 'Redrive 2' }).click();

    await dialog.getByText('What the redrive did').waitFor({ timeout });
    await dialog.getByText('2 handed back to their group').waitFor();
    const report = dialog.getByRole('list', { name: 'Letter by letter' });
    for (const id of ids) await report.getByText(id, { exact: true }).waitFor();
    assert.deepEqual(await findings(page), []);
    await dialog.getByRole('button', { name: 'Close' }).click();
    await page.getByText('2 selected').waitFor({ state: 'detached' });
    for (const id of ids) assert.equal(await stateOf(id), 'redriven');
    assert.deepEqual(trouble, []);
  });
}

async function stateOf(id) {
  const { items } = await call('GET', `/api/dead-letters?limit=200&group=${id.split('/')[0]}`);
  return items.find((l) => l.id === id).state;
}

test('the invariants are checked again and again, and are green', { timeout }, async (t) => {
  const { page, context, trouble } = await open(browser, '/invariants', widths[1]);
  t.after(() => context.close());
  await page.getByText('All 6 hold').waitFor({ timeout });
  assert.equal(await page.locator('[data-testid=invariant][data-holds=true]').count(), 6);
  // The page asks again by itself.
  const again = page.waitForResponse((r) => r.url().includes('/api/check'));
  assert.equal((await again).status(), 200);
  // What is broken is red, with what breaks it, and green again when it is mended.
  await page.route('**/api/check**', async (route) => {
    const answer = await (await route.fetch()).json();
    Object.assign(answer.items[0], { holds: false, offenders: ['milk: received 8000, on hand 7999'] });
    await route.fulfill({ json: answer });
  });
  await page.getByText('1 of 6 broken').waitFor({ timeout });
  await page.getByText('milk: received 8000, on hand 7999').waitFor();
  await page.unroute('**/api/check**');
  await page.getByText('All 6 hold').waitFor({ timeout });
  assert.equal(await overflow(page), 0, 'the page scrolls sideways');
  assert.deepEqual(trouble, []);
});

test('the brokers show topics, groups, task queues, mails and streams', { timeout }, async (t) => {
  const { page, context, trouble } = await open(browser, '/brokers', widths[0]);
  t.after(() => context.close());
  for (const [table, row] of [
    ['Topics of Kafka', 'orders'],
    ['Consumer groups of Kafka', 'notification.mails'],
    ['Task queues of Temporal', 'payment'],
    ['Queues of mails', 'critical'],
    ['Streams of JetStream', 'TELEMETRY'],
  ]) {
    await page.getByRole('table', { name: table }).getByRole('cell', { name: row }).first().waitFor({ timeout });
  }
  assert.deepEqual(trouble, []);
});

test('a parcel that is overdue is a task until a person has seen to it', { timeout }, async (t) => {
  const shop = await Shop.start({ env: { DELIVERY_DEADLINE: '1s', COURIER_DELAY: '1h' } });
  t.after(() => shop.remove());
  const { page, context, trouble, documents } = await open(browser, `${shop.baseURL}/tasks`, widths[1]);
  t.after(() => context.close());
  await page.getByText('Nothing waits for a person').waitFor({ timeout });

  const id = await placeOrder({ at: shop.baseURL });
  const task = page.getByRole('listitem').filter({ hasText: id });
  await task.getByRole('heading', { name: 'Delivery overdue' }).waitFor({ timeout });
  await task.getByText('ask where the parcel is').waitFor();
  assert.equal(await task.getByRole('link', { name: id }).getAttribute('href'), `/orders/${id}`);
  assert.equal(await task.getByRole('button', { name: 'Retry' }).count(), 0, 'a delivery cannot be asked for again');
  assert.deepEqual(await findings(page), []);
  assert.equal(await overflow(page), 0, 'the page scrolls sideways');

  await task.getByRole('button', { name: 'Mark as done' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Not now' }).click();
  await task.getByText('Open', { exact: true }).waitFor(); // thought better of
  await task.getByRole('button', { name: 'Mark as done' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Mark as done' }).click();
  await page.getByText('Nothing waits for a person').waitFor({ timeout });
  await page.getByRole('button', { name: 'All' }).click();
  await task.getByText('Done', { exact: true }).waitFor({ timeout });
  const { items } = await call('GET', '/api/tasks', undefined, shop.baseURL);
  assert.deepEqual(items.map((i) => [i.order_id, i.kind, i.state]), [[id, 'delivery_overdue', 'done']]);
  assert.equal(documents(), 1, 'the page was loaded again');
  assert.deepEqual(trouble, []);
});
