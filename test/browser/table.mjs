// The table of orders as a visitor sees it.
import { call, until } from './shop.mjs';

/** Its rows on the screen, each the order's id and its status in words. */
export function rows(page) {
  return page
    .getByRole('table', { name: 'Orders' })
    .locator('tbody tr[data-index]')
    .evaluateAll((trs) =>
      trs.map((tr) => ({
        id: tr.querySelector('a').textContent,
        status: tr.querySelector('[data-phone=state]').textContent.toLowerCase().replace(' ', '_'),
      })),
    );
}

/** Waits until the first page of the table says what the API says. */
export async function untilEqual(page, at) {
  let seen, said;
  try {
    await until(async () => {
      const { items } = await call('GET', '/api/orders?limit=50', undefined, at);
      said = items.map((o) => ({ id: o.order_id, status: o.status }));
      seen = await rows(page);
      return JSON.stringify(seen.slice(0, 50)) === JSON.stringify(said);
    });
  } catch (cause) {
    throw new Error(`the table ${JSON.stringify(seen)} is not what the API says: ${JSON.stringify(said)}`, { cause });
  }
}

/** Waits until the page is connected to the push. */
export async function untilLive(page) {
  await page.getByTestId('live').getByText('Live', { exact: true }).waitFor();
}
