import { beforeEach, describe, expect, it, vi } from 'vitest';
import { makeOrder } from '../testing/app';
import { change } from '../testing/live';
import { OrderFacts, statusOf } from './facts';
import { Latest } from './latest';

beforeEach(() => void vi.useFakeTimers());

describe('statusOf', () => {
  it.each([
    ['order.created.v2', 'pending'],
    ['order.approval_requested.v1', 'awaiting_approval'],
    ['order.confirmed.v1', 'confirmed'],
    ['order.shipped.v1', 'shipped'],
    ['order.completed.v12', 'completed'],
    ['order.cancelled.v1', 'cancelled'],
    ['order.rejected.v1', 'rejected'],
    ['order.renamed.v1', undefined],
  ] as const)('%s: %s', (type, want) => {
    expect(statusOf(change({ event_type: type }))).toBe(want);
  });

  it('is about orders only', () => {
    expect(statusOf(change({ topic: 'audit', event_type: 'order.created.v1' }))).toBeUndefined();
  });
});

describe('OrderFacts', () => {
  const at = '2026-11-09T14:00:00.5Z';
  const confirmed = change({ event_type: 'order.confirmed.v1', at });

  it('lays the newest fact over what was fetched', () => {
    const facts = new OrderFacts();
    facts.add([confirmed]);
    expect(facts.apply(makeOrder({ updated_at: '2026-11-09T14:00:00.1Z' }))).toMatchObject({ status: 'confirmed', updated_at: at });
    expect(facts.apply(makeOrder({ order_id: 'ord_2' })).status).toBe('pending');
  });

  it('leaves what was fetched later as it is', () => {
    const facts = new OrderFacts();
    facts.add([confirmed]);
    expect(facts.apply(makeOrder({ status: 'shipped', updated_at: '2026-11-09T14:00:00.9Z' })).status).toBe('shipped');
  });

  it('never takes an order out of its end', () => {
    const facts = new OrderFacts();
    facts.add([confirmed]);
    expect(facts.apply(makeOrder({ status: 'completed' })).status).toBe('completed');
  });

  it('tells its listeners of many facts at once', () => {
    const facts = new OrderFacts();
    const listener = vi.fn();
    const stop = facts.subscribe(listener);
    for (let i = 0; i < 100; i++) facts.add([change({ key: `ord_${i}` })]);
    expect(listener).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    expect(listener).toHaveBeenCalledTimes(1);
    facts.add([change({ event_type: 'order.renamed.v1' })]);
    vi.advanceTimersByTime(1000);
    expect(listener).toHaveBeenCalledTimes(1); // nothing that shows
    stop();
    facts.add([confirmed]);
    vi.advanceTimersByTime(1000);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('forgets when cleared', () => {
    const facts = new OrderFacts();
    facts.add([confirmed]);
    facts.clear();
    expect(facts.apply(makeOrder()).status).toBe('pending');
  });
});

it('Latest forgets what was set longest ago', () => {
  const latest = new Latest<string, number>(2);
  latest.set('a', 1);
  latest.set('b', 2);
  latest.set('a', 3);
  latest.set('c', 4);
  expect([latest.get('a'), latest.get('b'), latest.get('c')]).toEqual([3, undefined, 4]);
});
