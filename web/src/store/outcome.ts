import type { Order } from '../api/orders';
import { text } from '../text';

type Tone = 'info' | 'good' | 'warn' | 'bad' | 'plain';

/** What an order's customer has to know: where it stands, why it ended, and what became of the money. */
export function outcomeOf(order: Pick<Order, 'status' | 'reason' | 'steps' | 'total'>): { tone: Tone; words: string[] } {
  const { status, reason } = order;
  switch (status) {
    case 'completed':
      return { tone: 'good', words: [text.store.order.says.completed] };
    case 'cancelled':
    case 'rejected':
      return { tone: status === 'rejected' ? 'bad' : 'plain', words: [reason ? sentence(reason) : text.store.order.says[status], money(order)] };
    default:
      if (undoing(order)) return { tone: 'warn', words: [text.store.order.says.undoing] };
      return { tone: status === 'awaiting_approval' ? 'warn' : 'info', words: [text.store.order.says[status]] };
  }
}

function undoing({ steps = [] }: Pick<Order, 'steps'>): boolean {
  return steps.some((s) => s.state === 'compensating' || s.state === 'compensated');
}

function money({ steps = [], total }: Pick<Order, 'steps' | 'total'>): string {
  if (total.amount === 0) return text.store.order.money.free;
  const capture = steps.find((s) => s.name === 'payment.capture');
  if (capture?.error) return text.store.order.money.none; // the bank refused to pay out: nothing was taken
  switch (capture?.state) {
    case 'compensating':
      return text.store.order.money.underWay;
    case 'compensated':
      return text.store.order.money.refunded;
    default:
      return text.store.order.money.none;
  }
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1).replace(/([^.!?])$/, '$1.');
}
