import { beforeEach, expect, it, vi } from 'vitest';
import { coalesce } from './coalesce';

beforeEach(() => void vi.useFakeTimers({ now: 0 }));

/** A run that takes as long as the test wants. */
function slow() {
  const starts: number[] = [];
  let finish: () => void = () => undefined;
  const run = vi.fn(() => {
    starts.push(Date.now());
    return new Promise<void>((resolve) => (finish = resolve));
  });
  return { run, starts, finish: async () => { finish(); await vi.advanceTimersByTimeAsync(0); } };
}

const quick = () => {
  const starts: number[] = [];
  return { starts, run: vi.fn(() => Promise.resolve(starts.push(Date.now()))) };
};

it('runs at once for the first request', async () => {
  const { run } = quick();
  coalesce(run, { every: 1000 })();
  await vi.advanceTimersByTimeAsync(0);
  expect(run).toHaveBeenCalledTimes(1);
});

it('makes few runs of many requests', async () => {
  const { run, starts } = quick();
  const request = coalesce(run, { every: 1000 });
  for (let i = 0; i < 600; i++) {
    request();
    await vi.advanceTimersByTimeAsync(5); // 200 a second, for 3 seconds
  }
  await vi.advanceTimersByTimeAsync(5000);
  expect(starts).toEqual([0, 1000, 2000, 3000]);
});

it('runs again, once, for what was asked during a run', async () => {
  const { run, finish, starts } = slow();
  const request = coalesce(run, { every: 100 });
  request();
  await vi.advanceTimersByTimeAsync(50);
  request();
  request();
  await vi.advanceTimersByTimeAsync(5000);
  expect(starts).toEqual([0]); // one at a time, however long it takes
  await finish();
  expect(starts).toEqual([0, 5050]);
  await finish();
  await vi.advanceTimersByTimeAsync(5000);
  expect(starts).toHaveLength(2);
});

it('goes on after a run that failed', async () => {
  const run = vi.fn(() => Promise.reject(new Error('away')));
  const request = coalesce(run, { every: 100 });
  request();
  await vi.advanceTimersByTimeAsync(0);
  request();
  await vi.advanceTimersByTimeAsync(100);
  expect(run).toHaveBeenCalledTimes(2);
});

it('settles: again after the last request', async () => {
  const { run, starts } = quick();
  const request = coalesce(run, { every: 100, settle: [2000, 8000] });
  request();
  await vi.advanceTimersByTimeAsync(1500);
  request();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(starts).toEqual([0, 1500, 3501, 9501]); // a run follows its request by a timer
});

it('settles what was not asked for', async () => {
  const { run, starts } = quick();
  coalesce(run, { every: 100, settle: [2000] }).settle();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(starts).toEqual([2001]);
});

it('forgets everything when stopped', async () => {
  const { run, finish } = slow();
  const request = coalesce(run, { every: 100, settle: [2000] });
  request();
  await vi.advanceTimersByTimeAsync(0);
  request();
  request.stop();
  await finish();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(run).toHaveBeenCalledTimes(1);
});
