import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import type { EmailBody } from './schema';

export type Email = EmailBody;

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
