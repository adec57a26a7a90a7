import type { Money } from '../api/schema';
import { locale } from '../text';

/**
 * Formats money with as many digits as its currency has: 1999 EUR is €19.99,
 * 1999 JPY is ¥1,999. The decimal is put together as text, so that no amount
 * passes through a binary fraction.
 */
export function formatMoney({ amount, currency }: Money): string {
  const format = formatter(currency);
  if (!format) return `${amount} ${currency}`;
  const digits = format.resolvedOptions().maximumFractionDigits ?? 0;
  const minor = String(Math.abs(amount)).padStart(digits + 1, '0');
  const whole = minor.slice(0, minor.length - digits);
  const decimal = digits === 0 ? whole : `${whole}.${minor.slice(-digits)}`;
  return format.format(`${amount < 0 ? '-' : ''}${decimal}` as Intl.StringNumericLiteral);
}

/** Formats money for the scale of a chart, where digits count less than room: €1.2k. */
export function formatMoneyShort({ amount, currency }: Money): string {
  const format = formatter(currency);
  if (!format) return `${amount} ${currency}`;
  const short = new Intl.NumberFormat(locale, { style: 'currency', currency, notation: 'compact', minimumFractionDigits: 0, maximumFractionDigits: 2 });
  return short.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 0));
}

const formatters = new Map<string, Intl.NumberFormat | undefined>();

function formatter(currency: string): Intl.NumberFormat | undefined {
  if (!formatters.has(currency)) {
    try {
      formatters.set(currency, new Intl.NumberFormat(locale, { style: 'currency', currency }));
    } catch {
      formatters.set(currency, undefined); // not the shape of a currency code: shown as it is
    }
  }
  return formatters.get(currency);
}
