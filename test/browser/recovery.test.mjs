// What is lost on the way is asked for again by the page, not by its reader.
// BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, widths } from './browser.mjs';
import { pages, pathOf, settled } from './pages.mjs';
import { until } from './shop.mjs';

const timeout = 120_000;
const [desk] = widths;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** As often a page asks before it says that there is no answer. */
const tries = 3;

const troubles = [
  ['the network changes', (route) => route.abort('connectionreset')],
  ['a service is away', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', json: { status: 503, code: 'service_unavailable', detail: 'it does not answer' } })],
];

describe('a first fetch that fails is made again, while the push is there', { concurrency: 3 }, () => {
  for (const [i, one] of pages.entries()) {
    const [name, fail] = troubles[i % troubles.length]; // to a page they are one: no answer
    test(`${one.name}: ${name}`, { timeout }, async (t) => {
      const failures = new Map();
      const answered = new Set();
      const prepare = async (page) => {
        await page.route(/\/api\/(?!ws|sse)/, (route) => {
          const url = route.request().url();
          const n = (failures.get(url) ?? 0) + 1;
          failures.set(url, n);
          return n <= tries ? fail(route) : route.continue();
        });
        page.on('response', (r) => {
          if (r.status() < 500) answered.add(r.url());
        });
      };
      const { page, context } = await open(browser, await pathOf(one), { ...desk, storage: await one.storage?.(), prepare });
      t.after(() => context.close());
      await page.waitForFunction(() => document.querySelector('main h1, main [role=alert]'));
      await until(() => [...failures.keys()].every((url) => answered.has(url) || one.idle?.test(url)));
      await settled(page, one);
      await page.waitForFunction(() => ![...document.querySelectorAll('main [role=alert]')].some((a) => /could not be (loaded|read)/.test(a.textContent)));
    });
  }
});

test('a page whose script is lost on the way comes all the same', { timeout }, async (t) => {
  const { page, context, documents } = await open(browser, '/orders', desk);
  t.after(() => context.close());
  await settled(page);
  let lost = 0;
  await page.route('**/assets/*.js', (route) => (lost++ < 4 ? route.abort('connectionreset') : route.continue()));
  await page.getByRole('link', { name: 'Invariants' }).click();
  await page.getByRole('heading', { level: 1, name: 'Invariants' }).waitFor({ timeout });
  assert.ok(lost > 4, 'no script was lost');
  assert.equal(documents(), 1, 'the page was loaded again');
});
