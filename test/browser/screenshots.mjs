// Photographs the console: node screenshots.mjs DIRECTORY [PATH…]
// BASE_URL names a running shop; without paths, the list and its first order.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { baseURL, launch, open, widths } from './browser.mjs';

const [directory, ...paths] = process.argv.slice(2);
if (!directory) {
  console.error('usage: node screenshots.mjs DIRECTORY [PATH…]');
  process.exit(2);
}
if (paths.length === 0) {
  const response = await fetch(`${baseURL}/api/orders?limit=1`);
  const { items } = await response.json();
  paths.push('/orders', ...items.map((o) => `/orders/${o.order_id}`));
}

await mkdir(directory, { recursive: true });
const browser = await launch();
try {
  for (const path of paths) {
    for (const viewport of widths) {
      for (const colorScheme of ['light', 'dark']) {
        const { page, context } = await open(browser, path, { ...viewport, colorScheme });
        await page.locator('main h1').first().waitFor();
        await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
        const name = path.replace(/^\//, '').replace(/[^\w]+/g, '-') || 'home';
        const file = join(directory, `${name}-${viewport.name}-${colorScheme}.png`);
        await page.screenshot({ path: file });
        console.log(file);
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
}
