// The running shop that the tests look at, and its API; and shops of a test's own.
// DATA_DIR is the running one's directory.
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const baseURL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';

/** Places an order through the API, of one unit of the cheapest thing there is, and returns its id. */
export async function placeOrder({ name = 'Ada Lovelace', token = 'tok_visa', at = baseURL } = {}) {
  const [product] = (await inStock(at)).sort((a, b) => a.price.amount - b.price.amount);
  if (!product) throw new Error('nothing is in stock');
  return place({ name, token, lines: [{ sku: product.sku, quantity: 1 }], at });
}

const threshold = 50_000; // the default of APPROVAL_THRESHOLD

/** Places an order that is so large that a person has to approve it, and returns its id. */
export async function largeOrder({ name = 'Grace Hopper', token = 'tok_visa', at = baseURL } = {}) {
  const lines = [];
  let total = 0;
  for (const p of (await inStock(at)).sort((a, b) => b.price.amount * b.available - a.price.amount * a.available)) {
    const quantity = Math.min(p.available, Math.ceil((threshold + 1 - total) / p.price.amount));
    lines.push({ sku: p.sku, quantity });
    total += quantity * p.price.amount;
    if (total > threshold) return place({ name, token, lines, at });
  }
  throw new Error('what is in stock is not worth a large order');
}

/** What there is to buy. */
export async function inStock(at = baseURL) {
  const { items } = await call('GET', '/api/products?limit=200', undefined, at);
  return items.filter((p) => p.available > 0);
}

/** Places an order through the API and returns its id. */
export async function place({ name, token, lines, at = baseURL }) {
  const body = {
    customer: { name, email: 'ada@example.org', address: { line1: '12 St James’s Square', city: 'London', postcode: 'SW1Y 4JH', country: 'GB' } },
    lines,
    payment_token: token,
  };
  const order = await call('POST', '/api/orders', body, at);
  return order.order_id;
}

/** Waits until an order is in a status. */
export async function untilStatus(id, status, at = baseURL) {
  await until(async () => (await call('GET', `/api/orders/${id}`, undefined, at)).status === status);
}

/** Waits for what holds sooner or later, on a machine that may be slow. */
export async function until(holds, limit = 60_000) {
  const end = Date.now() + limit;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it did not come to pass within ${limit / 1000} s: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Plays a scenario to its end, and returns its name. The shop must offer scenarios. */
export async function playScenario(name, parameters = {}) {
  let run = await call('POST', `/api/scenarios/${name}`, { parameters });
  while (run.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, 100));
    run = await call('GET', `/api/scenarios/runs/${run.id}`);
  }
  if (run.state !== 'kept') throw new Error(`${name}: ${run.state} ${run.error ?? ''} ${JSON.stringify(run.promises)}`);
  return name;
}

/** The id of a dead letter; without one, the scenario that makes some is played first. */
export async function deadLetter() {
  for (;;) {
    const { items } = await call('GET', '/api/dead-letters?limit=1&state=dead&group=notification.mails');
    if (items.length > 0) return items[0].id;
    await playScenario('poison-message');
  }
}

/** The id of the first mail about an order, once it was sent. */
export async function mailOf(orderId) {
  for (;;) {
    const { items } = await call('GET', `/api/emails?order_id=${orderId}`);
    const sent = items.filter((m) => m.state === 'sent');
    if (sent.length > 0) return sent.at(-1).id;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * A cold room whose sensor has reported for half an hour, until a minute ago, and
 * in which it got too warm. Returns the sensor's name.
 */
export async function coldRoom() {
  const device = `room-${process.pid}`;
  const directory = await mkdtemp(join(tmpdir(), 'cartwheel-readings-'));
  try {
    const minutes = 30;
    const end = Math.floor(Date.now() / 60_000) * 60_000;
    const readings = Array.from({ length: 6 * minutes }, (_, i) => {
      const at = new Date(end + (i - 6 * minutes) * 10_000).toISOString().slice(0, 19).replace('T', ' ');
      const warmth = i >= 6 * (minutes - 6) ? 8 * Math.min(1, (i / 6 - (minutes - 6)) / 2) : 0;
      return `${at},${(4 + 0.5 * Math.sin(i / 7) + warmth).toFixed(2)}`;
    });
    await writeFile(join(directory, 'readings.csv'), `${readings.join('\n')}\n`);
    await cartwheel('sensors', '--data', process.env.DATA_DIR, '--file', join(directory, 'readings.csv'), '--sensor', `warehouse.chilled.${device}`);
  } finally {
    await rm(directory, { recursive: true });
  }
  for (;;) {
    const { items } = await call('GET', '/api/sensors');
    if (items.find((s) => s.device === device)?.anomalies.length > 0) return device;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A call to the API; throws for every refusal. */
export async function call(method, path, body, at = baseURL) {
  const headers = { 'Content-Type': 'application/json', ...(method === 'POST' && { 'Idempotency-Key': crypto.randomUUID() }) };
  const response = await fetch(at + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** Every order there is that fits a query, newest first. */
export async function allOrders(query = '', at = baseURL) {
  const all = [];
  for (let cursor = ''; ; ) {
    const page = await call('GET', `/api/orders?limit=200&${query}&cursor=${encodeURIComponent(cursor)}`, undefined, at);
    all.push(...page.items);
    if (!page.next_cursor) return all;
    cursor = page.next_cursor;
  }
}

/** The orders of a customer, who is known by name: the newest are looked through. */
export async function orders(name) {
  const { items } = await call('GET', '/api/orders?limit=200');
  return items.filter((o) => o.customer.name === name);
}

const program = () => fileURLToPath(new URL('../../bin/cartwheel', import.meta.url)); // late: web/src/routes.test.tsx imports this where there are no files
const cartwheel = (...args) => promisify(execFile)(program(), args);

/** A shop of a test's own, which may kill it and start it again where it was. */
export class Shop {
  #env;
  #dir;
  #process;
  #listen = '127.0.0.1:0';

  /** Starts one on a directory of its own and waits until it is ready, or for its page alone. */
  static async start({ env = {}, ready = true } = {}) {
    const shop = new Shop();
    shop.#env = { ...process.env, COURIER_DELAY: '0s', ...env };
    shop.#dir = await mkdtemp(join(tmpdir(), 'cartwheel-'));
    await chmod(shop.#dir, 0o755); // Postgres may run as another user
    await shop.launch({ ready });
    return shop;
  }

  /** Starts one whose saga engine is away: orders are taken, and stay as they are. */
  static withoutSagas() {
    return Shop.start({ env: { TEMPORAL_ADDRESS: '127.0.0.1:1' }, ready: false });
  }

  /** Starts it, on the address where it was before. */
  async launch({ ready = true } = {}) {
    await rm(join(this.#dir, 'endpoints.json'), { force: true });
    let said = '';
    const child = spawn(program(), ['up', '--data', this.#dir, '--listen', this.#listen], { env: this.#env });
    for (const out of [child.stdout, child.stderr]) out.on('data', (piece) => (said += piece));
    this.#process = child;
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the shop did not start:\n${said}`);
      this.endpoints = await readFile(join(this.#dir, 'endpoints.json'), 'utf8').then(JSON.parse, () => undefined);
      if (!this.endpoints) return false;
      const answer = await fetch(this.endpoints.console + (ready ? '/readyz' : '/api/orders')).catch(() => undefined);
      return answer?.ok ?? false;
    });
    this.#listen = new URL(this.baseURL).host;
  }

  get baseURL() {
    return this.endpoints.console;
  }

  /** Ends it, and waits until it has: SIGKILL leaves it no time to say good-bye. */
  async end(signal) {
    const child = this.#process;
    const ended = new Promise((resolve) => (child.exitCode !== null || child.signalCode !== null ? resolve() : child.once('exit', resolve)));
    child.kill(signal);
    await ended;
  }

  /** Ends it for good. */
  async remove() {
    await this.end('SIGTERM');
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}
