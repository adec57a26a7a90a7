import type { Sale } from '../../api/sales';

export const ranges = ['month', 'year', 'all'] as const;
export type Range = (typeof ranges)[number];

const first = '1990-01-01';
const dayMs = 86_400_000;

/** The days of a range that ends today, both included. */
export function daysOf(range: Range, today: string): { from: string; to: string } {
  if (range === 'all') return { from: first, to: today };
  if (range === 'month') return { from: plusDays(today, -29), to: today };
  const [year = 0, month = 1] = today.split('-').map(Number);
  return { from: new Date(Date.UTC(year, month - 12, 1)).toISOString().slice(0, 10), to: today };
}

/** What was sold on a day, 2026-11-09, or in a month, 2026-11; revenue in minor units. */
export interface Bar {
  x: string;
  orders: number;
  units: number;
  revenue: number;
}

/**
 * The sales of one currency as bars: each day of 30, each month of 12, and of all
 * months those from the first to the last with sales, without the years between
 * in which there was no shop.
 */
export function barsOf(items: readonly Sale[], currency: string, range: Range, { from, to }: { from: string; to: string }): Bar[] {
  const bars = new Map<string, Bar>();
  const barOf = (x: string) => {
    const bar = bars.get(x) ?? { x, orders: 0, units: 0, revenue: 0 };
    bars.set(x, bar);
    return bar;
  };
  if (range === 'month') for (let day = from; day <= to; day = plusDays(day, 1)) barOf(day);
  if (range === 'year') for (let day = from; day <= to; day = plusDays(`${day.slice(0, 7)}-28`, 4)) barOf(day.slice(0, 7));
  for (const sale of items) {
    if (sale.revenue.currency !== currency) continue;
    const bar = barOf(range === 'month' ? sale.day : sale.day.slice(0, 7));
    bar.orders += sale.orders;
    bar.units += sale.units;
    bar.revenue += sale.revenue.amount;
  }
  return [...bars.values()].sort((a, b) => a.x.localeCompare(b.x));
}

/** The currencies that were sold in, the one with most orders first. */
export function currenciesOf(items: readonly Sale[]): string[] {
  const orders = new Map<string, number>();
  for (const { revenue, orders: n } of items) orders.set(revenue.currency, (orders.get(revenue.currency) ?? 0) + n);
  return [...orders].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)).map(([currency]) => currency);
}

function plusDays(day: string, n: number): string {
  return new Date(Date.parse(day) + n * dayMs).toISOString().slice(0, 10);
}
