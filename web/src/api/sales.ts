import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import type { SaleBody } from './schema';

export type { SoldProduct } from './schema';
export type Sale = SaleBody;

const every = 5000;

/** What was sold by day, from one day to another, both included. */
export function sales(from: string, to: string) {
  return queryOptions({
    queryKey: ['sales', 'days', from, to],
    queryFn: ({ signal }) => ok(api.GET('/api/sales', { params: { query: { from, to } }, signal })),
    refetchInterval: every,
    placeholderData: (before) => before, // midnight, or another range: what is shown stays until there is more
  });
}

/** The products of which most pieces were sold. */
export function bestSellers(from: string, to: string) {
  return queryOptions({
    queryKey: ['sales', 'products', from, to],
    queryFn: ({ signal }) => ok(api.GET('/api/sales/products', { params: { query: { from, to, limit: 10 } }, signal })),
    refetchInterval: every,
    placeholderData: (before) => before,
  });
}

/** How many orders came in, in each minute of the last hour. */
export const ordersPerMinute = queryOptions({
  queryKey: ['sales', 'minutes'],
  queryFn: ({ signal }) => ok(api.GET('/api/sales/minutes', { params: { query: { minutes: 60 } }, signal })),
  refetchInterval: every,
});
