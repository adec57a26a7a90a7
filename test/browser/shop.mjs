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

async function call(method, path, body) {
  const headers = { 'Content-Type': 'application/json', ...(method === 'POST' && { 'Idempotency-Key': crypto.randomUUID() }) };
  const response = await fetch(baseURL + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}
