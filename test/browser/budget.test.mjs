// What a first visit may cost: script over the wire, and nothing that jumps while
// a page loads. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { launch, open, widths } from './browser.mjs';
import { pages, pathOf, settled } from './pages.mjs';

const timeout = 90_000;
const scriptBudget = 300 * 1024;
// Charts come when a page has some to show, after the rest of it, and on no other.
const chartBudget = 150 * 1024;
const isChart = (url) => /\/chart-recharts-/.test(url);
const shiftBudget = 0.02; // what a reader does not notice; 0.1 is the web's usual limit

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const one of pages) {
  describe(one.name, () => {
    for (const viewport of widths) {
      test(`${viewport.width} px`, { timeout }, async (t) => {
        const scripts = new Map();
        const { page, context } = await open(browser, 'about:blank', { ...viewport, storage: await one.storage?.() });
        t.after(() => context.close());
        page.on('response', (response) => {
          if (response.request().resourceType() === 'script') scripts.set(response.url(), response);
        });
        await page.addInitScript(() => {
          globalThis.shifts = [];
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) {
              if (!entry.hadRecentInput) globalThis.shifts.push({ value: entry.value, of: entry.sources.map(({ node, previousRect: a, currentRect: b }) => `${node?.className || node?.nodeName}: ${[a.x, a.y, a.width, a.height]} to ${[b.x, b.y, b.width, b.height]}`) });
            }
          }).observe({ type: 'layout-shift', buffered: true });
        });
        const path = await pathOf(one);
        // An answer that comes at once is there before anything is drawn, and hides what would jump.
        await page.route(/\/api\/|\/readyz/, async (route) => {
          const answer = await route.fetch().catch(() => undefined);
          await delay(250);
          await (answer ? route.fulfill({ response: answer }) : route.abort()).catch(() => {});
        });
        await page.goto(path);
        await page.locator('main h1').first().waitFor();
        await settled(page);

        const sizes = await Promise.all([...scripts].map(async ([url, response]) => [isChart(url), gzipSync(await response.body()).length]));
        const sumOf = (charts) => sizes.reduce((sum, [isOne, size]) => (isOne === charts ? sum + size : sum), 0);
        const [compressed, charts] = [sumOf(false), sumOf(true)];
        t.diagnostic(`${Math.round(compressed / 1024)} KiB of script, compressed${charts > 0 ? `, and ${Math.round(charts / 1024)} of charts` : ''}`);
        assert.ok(compressed > 0 && compressed <= scriptBudget, `${compressed} bytes of compressed script`);
        assert.ok(one.charts ? charts <= chartBudget : charts === 0, `${charts} bytes of compressed script for charts`);

        const shifts = await page.evaluate(() => globalThis.shifts);
        const sum = shifts.reduce((s, { value }) => s + value, 0);
        assert.ok(sum <= shiftBudget, `the layout shifts by ${sum}: ${JSON.stringify(shifts)}`);
      });
    }
  });
}
