import { describe, expect, it } from 'vitest';
import { formatMoney, formatMoneyShort } from './money';

describe('formatMoney', () => {
  it.each([
    [1999, 'EUR', '€19.99'],
    [0, 'EUR', '€0.00'],
    [5, 'EUR', '€0.05'],
    [-1999, 'EUR', '-€19.99'],
    [-5, 'EUR', '-€0.05'],
    [123456789, 'GBP', '£1,234,567.89'],
    [1999, 'JPY', 'JP¥1,999'],
    [1, 'JPY', 'JP¥1'],
    [1234, 'KWD', 'KWD\u00a01.234'],
    [12, 'KWD', 'KWD\u00a00.012'],
    [Number.MAX_SAFE_INTEGER, 'EUR', '€90,071,992,547,409.91'],
  ])('%d %s: %s', (amount, currency, want) => {
    expect(formatMoney({ amount, currency })).toBe(want);
  });

  it('shows what is not a currency as it is', () => {
    expect(formatMoney({ amount: 1999, currency: 'POINTS' })).toBe('1999 POINTS');
  });
});

it.each([
  [99, 'EUR', '€0.99'],
  [123_456, 'EUR', '€1.23k'],
  [5_000_000, 'JPY', 'JP¥5m'],
  [12, 'nope', '12 nope'],
])('for the scale of a chart, %d %s is %s', (amount, currency, want) => {
  expect(formatMoneyShort({ amount, currency })).toBe(want);
});
