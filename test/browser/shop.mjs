// The running shop that the tests look at, and its API.
export const baseURL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';

/** Places an order through the API, of one unit of the cheapest thing there is, and returns its id. */
export async function placeOrder({ name = 'Ada Lovelace', token = 'tok_visa' } = {}) {
  const products = await call('GET', '/api/products?limit=200');
  const [product] = products.items.filter((p) => p.available > 0).sort((a, b) => a.price.amount - b.price.amount);
  if (!product) throw new Error('nothing is in stock');
  const order = await call('POST', '/api/orders', {
    customer: { name, email: 'ada@example.org', address: { line1: '12 St James’s Square', city: 'London', postcode: 'SW1Y 4JH', country: 'GB' } },
    lines: [{ sku: product.sku, quantity: 1 }],
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
