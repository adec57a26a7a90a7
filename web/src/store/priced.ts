import { useQuery } from '@tanstack/react-query';
import type { Product } from '../api/products';
import { catalogue } from '../api/products';
import type { Money } from '../api/schema';
import { useRefetch } from '../live/context';
import { useBasket } from './basket';

export interface PricedLine {
  sku: string;
  quantity: number;
  /** undefined: the shop no longer has it. */
  product: Product | undefined;
  total: Money | undefined;
}

const topics = ['inventory'] as const;
const pace = { every: 1000, settle: [1000] };

/** The basket with today's names, prices and stock. The server reckons the total that is paid. */
export function usePricedBasket() {
  const { lines, units } = useBasket();
  const products = useQuery(catalogue);
  useRefetch(topics, pace, () => true, () => products.refetch({ cancelRefetch: false }));
  const priced = products.data && lines.map((l) => price(l, products.data));
  return { lines, units, priced, sum: priced && sum(priced), products };
}

function price({ sku, quantity }: { sku: string; quantity: number }, products: readonly Product[]): PricedLine {
  const product = products.find((p) => p.sku === sku);
  return { sku, quantity, product, total: product && { amount: product.price.amount * quantity, currency: product.price.currency } };
}

/** The sum, where all lines are in one currency; undefined otherwise. */
export function sum(lines: readonly PricedLine[]): Money | undefined {
  const totals = lines.flatMap((l) => l.total ?? []);
  const [first] = totals;
  if (!first || totals.some((t) => t.currency !== first.currency)) return undefined;
  return { amount: totals.reduce((n, t) => n + t.amount, 0), currency: first.currency };
}
