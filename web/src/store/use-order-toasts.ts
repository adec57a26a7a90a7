import { useQuery } from '@tanstack/react-query';
import { fill, links } from '../api/links';
import { useChanges } from '../live/context';
import type { Change } from '../live/protocol';
import { text } from '../text';
import type { ToastOptions } from '../ui/toast';
import { useToast } from '../ui/toast';
import { useMyOrders } from './my-orders';

const topics = ['orders', 'notifications'] as const;

/** Tells of mails and shipments of the visitor's own orders, on whichever page of the shop they are. */
export function useOrderToasts(): void {
  const mine = useMyOrders();
  const toast = useToast();
  const { data: where } = useQuery(links);
  useChanges(topics, (changes) => {
    for (const change of changes) {
      if (!mine.some((o) => o.id === change.order_id)) continue;
      const news = newsOf(change, where?.mail);
      if (news) toast(news);
    }
  });
}

export function newsOf({ event_type, order_id: id = '', data }: Change, mailLink: string | undefined): ToastOptions | undefined {
  const order = { to: `/track/${encodeURIComponent(id)}`, label: text.store.toasts.order };
  switch (event_type.replace(/\.v\d+$/, '')) {
    case 'notification.email_sent': {
      const { kind, message_id: messageId } = mailOf(data);
      const to = messageId === undefined ? undefined : fill(mailLink, 'message_id', messageId);
      return { title: text.store.toasts.mail, ...(kind && { detail: kind }), link: to ? { to, label: text.store.toasts.read } : order };
    }
    case 'order.shipped':
      return { title: text.store.toasts.shipped, tone: 'info', link: order };
    case 'order.completed':
      return { title: text.store.toasts.delivered, tone: 'good', link: order };
    case 'order.rejected':
      return { title: text.store.toasts.rejected, tone: 'bad', link: order };
    default:
      return undefined;
  }
}

function mailOf(data: unknown): { kind?: string | undefined; message_id?: string | undefined } {
  if (typeof data !== 'object' || data === null) return {};
  const { kind, message_id } = data as Record<string, unknown>;
  const words: Record<string, string> = text.store.mails.kind;
  return { kind: typeof kind === 'string' ? words[kind] : undefined, message_id: typeof message_id === 'string' ? message_id : undefined };
}
