import { describe, expect, it } from 'vitest';
import type { Sale } from '../../api/sales';
import { barsOf, currenciesOf, daysOf } from './series';

const sale = (day: string, amount: number, orders = 1, currency = 'EUR'): Sale => ({ day, orders, units: 2 * orders, revenue: { amount, currency } });

describe('daysOf', () => {
  it.each([
    ['month', '2026-03-01', '2026-01-31'],
    ['year', '2026-11-26', '2025-12-01'],
    ['year', '2026-12-31', '2026-01-01'],
    ['all', '2026-11-26', '1990-01-01'],
  ] as const)('%s until %s begins on %s', (range, to, from) => {
    expect(daysOf(range, to)).toEqual({ from, to });
  });
});

describe('barsOf', () => {
  it('has a bar for each day, with and without sales', () => {
    const days = daysOf('month', '2026-11-26');
    const bars = barsOf([sale('2026-11-26', 500), sale('2026-10-28', 7)], 'EUR', 'month', days);
    expect(bars).toHaveLength(30);
    expect(bars[0]).toEqual({ x: '2026-10-28', orders: 1, units: 2, revenue: 7 });
    expect(bars[1]).toEqual({ x: '2026-10-29', orders: 0, units: 0, revenue: 0 });
    expect(bars.at(-1)?.revenue).toBe(500);
  });

  it('sums up months', () => {
    const days = daysOf('year', '2026-11-26');
    const bars = barsOf([sale('2026-11-26', 500), sale('2026-11-01', 7, 3)], 'EUR', 'year', days);
    expect(bars.map((b) => b.x)).toEqual(['2025-12', ...Array.from({ length: 11 }, (_, i) => `2026-${String(i + 1).padStart(2, '0')}`)]);
    expect(bars.at(-1)).toEqual({ x: '2026-11', orders: 4, units: 8, revenue: 507 });
  });

  it('leaves out the years without a shop', () => {
    const bars = barsOf([sale('2026-11-26', 1), sale('1997-01-01', 2), sale('1998-06-30', 3)], 'EUR', 'all', daysOf('all', '2026-11-26'));
    expect(bars.map((b) => b.x)).toEqual(['1997-01', '1998-06', '2026-11']);
  });

  it('mixes no currencies', () => {
    const items = [sale('2026-11-26', 1), sale('2026-11-26', 100, 9, 'USD')];
    expect(barsOf(items, 'USD', 'all', daysOf('all', '2026-11-26'))).toEqual([{ x: '2026-11', orders: 9, units: 18, revenue: 100 }]);
    expect(currenciesOf(items)).toEqual(['USD', 'EUR']);
  });
});
