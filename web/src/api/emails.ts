import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import { untilAnswered } from './queries';
import type { EmailBody, EmailOutputBody } from './schema';

export type Email = EmailBody;
export type SentEmail = EmailOutputBody;

/** The mails about an order, oldest first. */
export function emailsOf(orderId: string) {
  return queryOptions({
    queryKey: ['emails', 'order', orderId],
    queryFn: async ({ signal }): Promise<readonly Email[]> => {
      const { items } = await ok(api.GET('/api/emails', { params: { query: { order_id: orderId, limit: 200 } }, signal }));
      return items.reverse();
    },
  });
}

/** Every mail, newest first; those of one order when it is given. */
export function emails(orderId: string) {
  return infiniteQueryOptions({
    queryKey: ['emails', 'list', orderId],
    queryFn: ({ pageParam: cursor, signal }) =>
      ok(api.GET('/api/emails', { params: { query: { limit: 50, ...(orderId && { order_id: orderId }), ...(cursor && { cursor }) } }, signal })),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor: next }) => (next === '' ? undefined : next),
  });
}

/** One mail, as it was sent. While it waits, it is asked for again. */
export function email(id: string) {
  return queryOptions({
    queryKey: ['emails', 'one', id],
    queryFn: ({ signal }) => ok(api.GET('/api/emails/{id}', { params: { path: { id } }, signal })),
    refetchInterval: (query) => {
      const missing = query.state.data?.missing;
      return missing === 'not_sent' || missing === 'inbox_away' ? 3000 : untilAnswered(query);
    },
  });
}
