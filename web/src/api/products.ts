import { queryOptions } from '@tanstack/react-query';
import type { Money } from '../format/money';
import { get } from './client';

export interface Product {
  sku: string;
  name: string;
  price: Money;
  available: number;
  storage: 'ambient' | 'chilled' | 'frozen';
}

/** Names by SKU. They hardly ever change, and a page without them still works. */
export const productNames = queryOptions({
  queryKey: ['products', 'names'],
  queryFn: async ({ signal }) => {
    const { items } = await get<{ items: Product[] }>('/api/products?limit=200', signal);
    return new Map(items.map((p) => [p.sku, p.name]));
  },
  staleTime: 60 * 60 * 1000,
});
