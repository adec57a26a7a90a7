// Photographs every page at both widths in both themes: node screenshots.mjs DIRECTORY [NAME…]
// BASE_URL names a running shop; names are those of pages.mjs, all without any.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, visit, widths } from './browser.mjs';
import { pages, settled } from './pages.mjs';

const [directory, ...names] = process.argv.slice(2);
const unknown = names.filter((n) => !pages.some((p) => p.name === n));
if (!directory || unknown.length > 0) {
  console.error(`usage: node screenshots.mjs DIRECTORY [NAME…]\nnames: ${pages.map((p) => p.name).join(' ')}`);
  process.exit(2);
}

await mkdir(directory, { recursive: true });
const browser = await launch();
try {
  for (const one of pages.filter((p) => names.length === 0 || names.includes(p.name))) {
    for (const viewport of widths) {
      for (const colorScheme of ['light', 'dark']) {
        const { page, context } = await visit(browser, one, { ...viewport, colorScheme });
        await settled(page, one);
        const file = join(directory, `${one.name}-${viewport.name}-${colorScheme}.png`);
        await page.screenshot({ path: file });
        console.log(file);
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
}
