import { beforeEach, expect, it, vi } from 'vitest';

const key = 'cartwheel.basket';
// A basket reads its storage once: each test has a page of its own.
const load = async () => {
  vi.resetModules();
  return (await import('./basket')).basket;
};
const stored = (): unknown => JSON.parse(localStorage.getItem(key) ?? 'null');

beforeEach(() => localStorage.clear());

it('keeps what is put in, in its order, over a reload', async () => {
  const before = await load();
  before.add('tea');
  before.add('milk', 2);
  before.add('tea');
  const after = await load();
  expect(after.lines).toEqual([{ sku: 'tea', quantity: 2 }, { sku: 'milk', quantity: 2 }]);
});

it('none of something takes it out', async () => {
  const basket = await load();
  basket.add('tea', 3);
  basket.set('tea', 0);
  expect(basket.lines).toEqual([]);
  expect(stored()).toEqual([]);
});

it.each([
  [-5, []],
  [2.9, [{ sku: 'tea', quantity: 2 }]],
  [1e9, [{ sku: 'tea', quantity: 10_000 }]],
])('takes %d of something for what an order can have', async (quantity, want) => {
  const basket = await load();
  basket.set('tea', quantity);
  expect(basket.lines).toEqual(want);
});

it.each(['{', '7', '{"sku":"tea"}', '[null,{"sku":1,"quantity":1},{"sku":"tea","quantity":"1"},{"sku":"tea","quantity":-1},{"sku":"tea","quantity":0.5}]'])(
  'takes %s in its storage for an empty basket',
  async (raw) => {
    localStorage.setItem(key, raw);
    expect((await load()).lines).toEqual([]);
  },
);

it('follows another tab', async () => {
  const basket = await load();
  const heard = vi.fn();
  basket.subscribe(heard);
  localStorage.setItem(key, '[{"sku":"tea","quantity":4}]');
  window.dispatchEvent(new StorageEvent('storage', { key }));
  expect(heard).toHaveBeenCalledOnce();
  expect(basket.lines).toEqual([{ sku: 'tea', quantity: 4 }]);
});

it('works without any storage, for as long as the page', async () => {
  vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
    throw new DOMException('full', 'QuotaExceededError');
  });
  const basket = await load();
  basket.add('tea');
  expect(basket.lines).toEqual([{ sku: 'tea', quantity: 1 }]);
});
