// The server, its push or the network goes away, or the page sleeps, and comes
// back: what a visitor saw stays, and becomes the truth again by itself. On a shop
// of its own, which is killed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, widths } from './browser.mjs';
import { Shop, call, placeOrder, until, untilStatus } from './shop.mjs';
import { rows, untilEqual, untilLive } from './table.mjs';

const timeout = 240_000;
const [desk] = widths;

let browser, shop;
before(async () => {
  shop = await Shop.start();
  browser = await launch();
}, { timeout });
after(async () => {
  await browser?.close();
  await shop?.remove();
}, { timeout });

async function visit(t, path, prepare) {
  const opened = await open(browser, path, { ...desk, baseURL: shop.baseURL, prepare });
  opened.page.setDefaultTimeout(90_000);
  t.after(() => opened.context.close());
  return opened;
}

const place = (options) => placeOrder({ ...options, at: shop.baseURL });

/** Orders that are at their end. */
async function completed(n) {
  const ids = await Promise.all(Array.from({ length: n }, () => place()));
  for (const id of ids) await untilStatus(id, 'completed', shop.baseURL);
  return ids;
}

/** Says how long it took until the table was right; nobody is held to it. */
async function timed(t, what, fn) {
  const began = performance.now();
  await fn();
  t.diagnostic(`${what}: ${Math.round(performance.now() - began)} ms`);
}

test('the server is killed: a banner says so, what was there stays, and it catches up when the server is back', { timeout }, async (t) => {
  const [id] = await completed(2);
  const list = await visit(t, '/orders');
  const order = await visit(t, `/orders/${id}`);
  await untilLive(list.page);
  await order.page.getByRole('main').getByText('Completed', { exact: true }).waitFor();
  await untilEqual(list.page, shop.baseURL);
  const before = await rows(list.page);

  await shop.end('SIGKILL');
  for (const { page } of [list, order]) {
    const banner = page.getByRole('status').filter({ hasText: 'The server does not answer.' });
    await banner.getByText(/Next try in \d+ s\.|Connecting/).waitFor();
    await page.getByTestId('live').getByText('Interrupted').waitFor();
  }
  assert.deepEqual(await rows(list.page), before, 'what was there is gone');
  await order.page.getByRole('main').getByText('Completed', { exact: true }).waitFor();
  // A page that is gone to now has nothing to show, and says that too.
  await order.page.getByRole('link', { name: 'Invariants' }).click();

  await shop.launch();
  const ids = await completed(2);
  await timed(t, 'the table is right after the restart and two orders', () => untilEqual(list.page, shop.baseURL));
  for (const one of ids) assert.ok((await rows(list.page)).some((r) => r.id === one));
  for (const { page } of [list, order]) {
    await untilLive(page);
    await page.getByText('The server does not answer.').waitFor({ state: 'detached' });
  }
  await order.page.getByText('All 6 hold').waitFor();
  assert.equal(list.documents() + order.documents(), 2, 'a page was loaded again');
});

for (const restart of [false, true]) {
  test(`a page that was frozen shows the truth when it wakes, ${restart ? 'on a server that was started anew' : 'on the connection that it had'}`, { timeout }, async (t) => {
    const { page, context, documents } = await visit(t, '/orders');
    await untilLive(page);
    const devtools = await context.newCDPSession(page);
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
    if (restart) {
      await shop.end('SIGKILL');
      await shop.launch();
    }
    await completed(3);
    await devtools.send('Page.setWebLifecycleState', { state: 'active' });
    await timed(t, 'the table is right after it woke', () => untilEqual(page, shop.baseURL));
    assert.equal(documents(), 1, 'the page was loaded again');
  });
}

test('a connection that looks alive after a sleep is not trusted', { timeout }, async (t) => {
  let dead = false; // the connection of before the sleep: nothing comes through, and nothing says so
  let connections = 0;
  const { page } = await visit(t, '/orders', async (p) => {
    await p.clock.install();
    await p.routeWebSocket('**/api/ws**', (ws) => {
      const first = connections++ === 0;
      ws.connectToServer().onMessage((message) => {
        if (!(first && dead)) ws.send(message);
      });
    });
  });
  await untilLive(page);
  dead = true;
  const before = connections;
  const [id] = await completed(1);
  await page.clock.fastForward('05:00');
  await timed(t, 'the table is right after it woke', () => untilEqual(page, shop.baseURL));
  await page.getByRole('link', { name: id }).waitFor();
  assert.ok(connections > before, 'it has not connected anew');
});

test('offline and online again: it catches up at once', { timeout }, async (t) => {
  const { page, context } = await visit(t, '/orders');
  await untilLive(page);
  await context.setOffline(true);
  await completed(2);
  await context.setOffline(false);
  await timed(t, 'the table is right after it was online', () => untilEqual(page, shop.baseURL));
});

// Everything that a page hears from the server is compared with the log of the
// orders, while its connection is cut again and again.
for (const way of ['a WebSocket', 'server-sent events']) {
  test(`it resumes without a gap over ${way}`, { timeout }, async (t) => {
    const hellos = [];
    const heard = new Map(); // ids of facts by order, in the order in which they came
    const hear = (text) => {
      const message = JSON.parse(text);
      if (message.type === 'hello') hellos.push(message.reset);
      for (const { topic, key, event_id: event } of message.items ?? []) {
        if (topic === 'orders' && !heard.get(key)?.includes(event)) heard.set(key, [...(heard.get(key) ?? []), event]);
      }
    };
    let cut;
    const { page } = await visit(t, '/orders', async (p) => {
      await p.exposeFunction('heard', hear);
      if (way === 'a WebSocket') {
        await p.routeWebSocket('**/api/ws**', (ws) => {
          const server = ws.connectToServer();
          server.onMessage((message) => {
            hear(message);
            ws.send(message);
          });
          cut = () => ws.close().then(() => server.close());
        });
        return;
      }
      await p.routeWebSocket('**/api/ws**', (ws) => ws.close());
      await p.addInitScript(() => {
        const real = globalThis.fetch;
        globalThis.fetch = async (request, options) => {
          const response = await real(request, options);
          if (!String(request.url ?? request).includes('/api/sse') || !response.body) return response;
          const [mine, theirs] = response.body.tee();
          let rest = '';
          void (async () => {
            const reader = mine.pipeThrough(new TextDecoderStream()).getReader();
            for (;;) {
              const { done, value } = await reader.read();
              if (done) return;
              const lines = (rest + value).split('\n');
              rest = lines.pop();
              for (const line of lines) if (line.startsWith('data: ')) globalThis.heard(line.slice(6));
            }
          })().catch(() => undefined); // cut
          return new Response(theirs, response);
        };
      });
      cut = () => p.evaluate(() => globalThis.dispatchEvent(new Event('online'))); // it connects anew, whatever it has
    });
    await untilLive(page);
    const ids = [];
    for (let i = 0; i < 6; i++) {
      ids.push(await place(), await place());
      const before = hellos.length;
      await cut();
      await until(() => hellos.length > before);
    }
    for (const id of ids) await untilStatus(id, 'completed', shop.baseURL);
    await untilEqual(page, shop.baseURL);
    await page.waitForFunction(() => document.querySelector('[data-testid=live]').textContent === 'Live');
    for (const id of ids) {
      const { items } = await call('GET', `/api/orders/${id}/timeline`, undefined, shop.baseURL);
      const log = items.filter((i) => i.kind === 'event' && i.detail.topic === 'orders').sort((a, b) => a.detail.offset - b.detail.offset);
      assert.ok(log.length >= 4, 'the log is short');
      assert.deepEqual(heard.get(id), log.map((i) => i.detail.event_id), `what the page heard of ${id}`);
    }
    assert.ok(hellos.length > 3, `it has connected ${hellos.length} times`);
    assert.deepEqual(new Set(hellos), new Set([false]), 'it was told to begin anew');
    t.diagnostic(`${hellos.length} connections`);
  });
}
