// A browser of our own for each run, and what every test needs of it.
import { chromium } from 'playwright-core';

export const baseURL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';

export const widths = [
  { name: 'desk', width: 1440, height: 900 },
  { name: 'phone', width: 390, height: 844, isMobile: true, hasTouch: true },
];

/** Starts Chromium with a profile of its own, which goes when it ends. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox', // there is none for root, as in a container
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * Opens a page that keeps a record of what must not happen: documents loaded
 * after the first, exceptions, violations of the content security policy.
 */
export async function open(browser, path, { width, height, isMobile = false, hasTouch = false, colorScheme = 'light' }) {
  const context = await browser.newContext({ baseURL, viewport: { width, height }, isMobile, hasTouch, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const trouble = [];
  page.on('pageerror', (error) => trouble.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) trouble.push(message.text());
  });
  let documents = 0;
  page.on('request', (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) documents++;
  });
  await page.goto(path);
  return { page, context, trouble, documents: () => documents };
}

/** How many pixels the page is wider than the screen; a phone would zoom out to show them. */
export async function overflow(page) {
  const { width } = page.viewportSize();
  return page.evaluate((screen) => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return Math.max(0, scrollWidth - Math.min(clientWidth, screen));
  }, width);
}

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
