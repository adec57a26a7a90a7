// No serious or critical finding of axe-core on any page, in both themes and on a
// phone, and nothing that is wider than the screen. BASE_URL names a running shop.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, launch, overflow, visit, widths } from './browser.mjs';
import { pages, settled } from './pages.mjs';

const timeout = 90_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const one of pages) {
  describe(one.name, () => {
    for (const viewport of widths) {
      for (const colorScheme of ['light', 'dark']) {
        test(`${colorScheme}, ${viewport.width} px`, { timeout }, async (t) => {
          const { page, context, trouble } = await visit(browser, one, { ...viewport, colorScheme });
          t.after(() => context.close());
          await settled(page, one);
          assert.deepEqual(await findings(page), []);
          assert.equal(await overflow(page), 0, 'the page scrolls sideways');
          assert.deepEqual(trouble, []);
        });
      }
    }
  });
}
