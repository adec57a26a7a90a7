// Two hundred order changes a second for 30 s, and what the page of orders makes of
// them: how long its frames took, and whether it is right afterwards. It measures;
// many.test.mjs asserts.
import { launch, open, widths } from './browser.mjs';
import { crowd } from './crowd.mjs';
import { describeFrames, watchFrames } from './frames.mjs';
import { Shop } from './shop.mjs';
import { untilEqual, untilLive } from './table.mjs';

const seconds = 30;
const shop = await Shop.withoutSagas();
try {
  const browser = await launch();
  try {
    await crowd(shop, ['-orders', '1000']);
    const { page, context } = await open(browser, '/orders', { ...widths[0], baseURL: shop.baseURL });
    await untilLive(page);
    const frames = await watchFrames(page);
    const { changes, seconds: took } = await crowd(shop, ['-changes', '200', '-for', `${seconds}s`]);
    console.log(`burst: ${changes} order changes in ${took.toFixed(1)} s: ${describeFrames(await frames())}`);
    await untilEqual(page, shop.baseURL);
    console.log('burst: the table is what the API says');
    await context.close();
  } finally {
    await browser.close();
  }
} finally {
  await shop.remove();
}
