// Every page of both faces, for the tests and pictures that look at all of them.
// web/src/routes.test.tsx holds this list against the routes.
import { coldRoom, deadLetter, largeOrder, mailOf, placeOrder, playScenario } from './shop.mjs';

/** What a function returned the first time, for all later calls. */
function once(make) {
  let made;
  return () => (made ??= make());
}

const completed = once(() => placeOrder());
const waiting = once(() => largeOrder());
const warmRoom = once(() => coldRoom());
const mail = once(async () => mailOf(await completed()));
const declined = once(() => placeOrder({ token: 'tok_declined' }));

function filledBasket() {
  return {
    'cartwheel.basket': [
      { sku: 'espresso-beans', quantity: 2 },
      { sku: 'butter', quantity: 1 },
      { sku: 'vanilla-ice', quantity: 3 },
    ],
  };
}

/**
 * `route` is the path as the routes name it, `path` what a browser goes to: a
 * string, or what makes one in the running shop. `storage` is what the browser has
 * kept from an earlier visit. `arrange` gets the page into the
 * state to look at, once it shows its title. `charts` says that it may load what draws them,
 * and `idle` what it no longer asks for once it has another answer.
 */
export const pages = [
  { name: 'catalogue', route: '', path: '/' },
  { name: 'catalogue-nothing', route: '', path: '/?q=unobtainium' },
  { name: 'basket-empty', route: 'basket', path: '/basket' },
  { name: 'basket', route: 'basket', path: '/basket', storage: filledBasket },
  { name: 'checkout', route: 'checkout', path: '/checkout', storage: filledBasket },
  { name: 'track', route: 'track', path: '/track', storage: async () => ({ 'cartwheel.orders': [{ id: await completed(), at: new Date().toISOString() }] }) },
  { name: 'track-order', route: 'track/:id', path: async () => `/track/${await completed()}`, arrange: untilArrived },
  { name: 'track-declined', route: 'track/:id', path: async () => `/track/${await declined()}`, arrange: untilRefused },
  { name: 'orders', route: 'orders', path: '/orders' },
  { name: 'order', route: 'orders/:id', path: async () => `/orders/${await completed()}`, arrange: untilDone },
  { name: 'order-waiting', route: 'orders/:id', path: async () => `/orders/${await waiting()}`, arrange: untilWaiting },
  { name: 'order-unknown', route: 'orders/:id', path: '/orders/ord_that_never_was', idle: /\/api\/emails\?/ },
  { name: 'approvals', route: 'approvals', path: async () => (await waiting()) && '/approvals', arrange: untilWaiting },
  { name: 'scenarios', route: 'scenarios', path: '/scenarios' },
  { name: 'scenario', route: 'scenarios/:name', path: once(async () => `/scenarios/${await playScenario('capture-refused')}`) },
  { name: 'invariants', route: 'invariants', path: '/invariants' },
  { name: 'dead-letters', route: 'dead-letters', path: once(async () => (await deadLetter()) && '/dead-letters') },
  { name: 'dead-letter', route: 'dead-letters/*', path: once(async () => `/dead-letters/${await deadLetter()}`) },
  { name: 'tasks', route: 'tasks', path: '/tasks' },
  { name: 'mails', route: 'mails', path: async () => (await mail()) && '/mails', arrange: untilMailed },
  { name: 'mail', route: 'mails/:id', path: async () => `/mails/${await mail()}`, arrange: untilMailed },
  { name: 'mail-unknown', route: 'mails/:id', path: '/mails/eml_that_never_was' },
  { name: 'sales', route: 'sales', path: async () => (await completed()) && '/sales', arrange: untilDrawn, charts: true },
  { name: 'sales-all', route: 'sales', path: '/sales?range=all', charts: true },
  { name: 'sensors', route: 'sensors', path: async () => (await warmRoom()) && '/sensors', arrange: untilDrawn, charts: true },
  { name: 'brokers', route: 'brokers', path: '/brokers' },
  { name: 'not-found', route: '*', path: '/no/such/page' },
];

/** A page's address in the running shop. */
export function pathOf({ path }) {
  return typeof path === 'string' ? path : path();
}

/** Waits until a page shows what it has to show, and is at rest. */
export async function settled(page, { arrange } = {}) {
  await page.locator('main h1').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
  await arrange?.(page);
  await page.evaluate(() => document.fonts.ready);
}

async function untilArrived(page) {
  await page.getByRole('heading', { name: 'Your order has arrived' }).waitFor({ timeout: 60_000 });
}

async function untilRefused(page) {
  await page.getByRole('heading', { name: 'Your order could not be filled' }).waitFor({ timeout: 60_000 });
}

async function untilWaiting(page) {
  await page.getByRole('button', { name: 'Approve' }).first().waitFor({ timeout: 60_000 });
}

async function untilMailed(page) {
  await page.getByText('Sent', { exact: true }).first().waitFor({ timeout: 60_000 });
}

async function untilDrawn(page) {
  await page.locator('.recharts-surface').first().waitFor({ timeout: 60_000 });
}

async function untilDone(page) {
  await page.getByRole('main').getByText('Completed', { exact: true }).waitFor({ timeout: 60_000 });
}
