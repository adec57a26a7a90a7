// The running shop that the tests look at, and its API.
export const baseURL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';

/** Places an order through the API, of one unit of the cheapest thing there is, and returns its id. */
export async function placeOrder({ name = 'Ada Lovelace', token = 'tok_visa' } = {}) {
  const [product] = (await inStock()).sort((a, b) => a.price.amount - b.price.amount);
  if (!product) throw new Error('nothing is in stock');
  return place({ name, token, lines: [{ sku: product.sku, quantity: 1 }] });
}

const threshold = 50_000; // the default of APPROVAL_THRESHOLD

/** Places an order that is so large that a person has to approve it, and returns its id. */
export async function largeOrder({ name = 'Grace Hopper', token = 'tok_visa' } = {}) {
  const lines = [];
  let total = 0;
  for (const p of (await inStock()).sort((a, b) => b.price.amount * b.available - a.price.amount * a.available)) {
    const quantity = Math.min(p.available, Math.ceil((threshold + 1 - total) / p.price.amount));
    lines.push({ sku: p.sku, quantity });
    total += quantity * p.price.amount;
    if (total > threshold) return place({ name, token, lines });
  }
  throw new Error('what is in stock is not worth a large order');
}

async function inStock() {
  const { items } = await call('GET', '/api/products?limit=200');
  return items.filter((p) => p.available > 0);
}

async function place({ name, token, lines }) {
  const order = await call('POST', '/api/orders', {
    customer: { name, email: 'ada@example.org', address: { line1: '12 St James’s Square', city: 'London', postcode: 'SW1Y 4JH', country: 'GB' } },
    lines,
    payment_token: token,
  });
  return order.order_id;
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

/** A call to the API; throws for every refusal. */
export async function call(method, path, body) {
  const headers = { 'Content-Type': 'application/json', ...(method === 'POST' && { 'Idempotency-Key': crypto.randomUUID() }) };
  const response = await fetch(baseURL + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** The orders of a customer, who is known by name: the newest are looked through. */
export async function orders(name) {
  const { items } = await call('GET', '/api/orders?limit=200');
  return items.filter((o) => o.customer.name === name);
}
