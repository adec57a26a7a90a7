import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { patiently } from './load';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('loads again what the network lost', async () => {
  let tries = 0;
  const page = patiently(() => (++tries < 4 ? Promise.reject(new TypeError('Failed to fetch dynamically imported module')) : Promise.resolve('page')));
  await vi.runAllTimersAsync();
  expect(await page).toBe('page');
  expect(tries).toBe(4);
});

it('says in the end why it could not', async () => {
  const page = patiently(() => Promise.reject(new Error('gone')));
  const said = expect(page).rejects.toThrow('gone');
  await vi.runAllTimersAsync();
  await said;
});
