// Photographs every page at both widths in both themes: node screenshots.mjs DIRECTORY [NAME…]
// With --chosen it takes the README's pictures, small ones. BASE_URL names a running
// shop, which is filled first; names are those of pages.mjs, all without any.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, visit, widths } from './browser.mjs';
import { liven } from './life.mjs';
import { pages, settled } from './pages.mjs';

/** The README's pictures, each in both themes. */
const chosen = ['catalogue-desk', 'orders-desk', 'order-desk', 'scenario-desk'];

const args = process.argv.slice(2);
const small = args.includes('--chosen');
const [directory, ...names] = args.filter((a) => a !== '--chosen');
const unknown = names.filter((n) => !pages.some((p) => p.name === n));
if (!directory || unknown.length > 0) {
  console.error(`usage: node screenshots.mjs [--chosen] DIRECTORY [NAME…]\nnames: ${pages.map((p) => p.name).join(' ')}`);
  process.exit(2);
}

await mkdir(directory, { recursive: true });
await liven();
const browser = await launch();
try {
  for (const one of pages.filter((p) => names.length === 0 || names.includes(p.name))) {
    for (const viewport of widths) {
      if (small && !chosen.includes(`${one.name}-${viewport.name}`)) continue;
      for (const colorScheme of ['light', 'dark']) {
        const { page, context } = await visit(browser, one, { ...viewport, colorScheme });
        await settled(page, one);
        const file = join(directory, `${one.name}-${viewport.name}-${colorScheme}.${small ? 'webp' : 'png'}`);
        if (small) {
          const devtools = await context.newCDPSession(page);
          const { data } = await devtools.send('Page.captureScreenshot', { format: 'webp', quality: 90 });
          await writeFile(file, Buffer.from(data, 'base64'));
        } else {
          await page.screenshot({ path: file });
        }
        console.log(file);
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
}
