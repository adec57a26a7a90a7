import type { Order, Status } from '../api/orders';
import { isTerminal } from '../api/orders';
import { Latest } from './latest';
import type { Change } from './protocol';

const statusAfter: Record<string, Status> = {
  'order.created': 'pending',
  'order.approval_requested': 'awaiting_approval',
  'order.confirmed': 'confirmed',
  'order.shipped': 'shipped',
  'order.completed': 'completed',
  'order.cancelled': 'cancelled',
  'order.rejected': 'rejected',
};

/** The status that an order is in after a fact; undefined for facts that do not change it. */
export function statusOf(change: Change): Status | undefined {
  return change.topic === 'orders' ? statusAfter[change.event_type.replace(/\.v\d+$/, '')] : undefined;
}

const noticeEvery = 100;
const remembered = 20_000;

/**
 * What the newest facts say of orders, laid over what was fetched: an answer that
 * was under way while a fact arrived cannot put the page back, whichever comes
 * first. Listeners hear of many facts at once, ten times a second at most.
 */
export class OrderFacts {
  readonly #latest = new Latest<string, { status: Status; at: string }>(remembered);
  readonly #listeners = new Set<() => void>();
  #notice: ReturnType<typeof setTimeout> | undefined;
  #version = 0;

  /** Changes whenever {@link apply} may answer something else. */
  get version(): number {
    return this.#version;
  }

  add(changes: readonly Change[]): void {
    let any = false;
    for (const change of changes) {
      const status = statusOf(change);
      if (!status) continue;
      this.#latest.set(change.key, { status, at: change.at });
      any = true;
    }
    if (!any || this.#notice !== undefined) return;
    this.#notice = setTimeout(() => {
      this.#notice = undefined;
      this.#version++;
      for (const listener of this.#listeners) listener();
    }, noticeEvery);
  }

  apply<T extends Order>(order: T): T {
    const fact = this.#latest.get(order.order_id);
    if (!fact || isTerminal(order.status) || Date.parse(fact.at) < Date.parse(order.updated_at)) return order;
    return { ...order, status: fact.status, updated_at: fact.at };
  }

  clear(): void {
    this.#latest.clear();
    this.#version++;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
