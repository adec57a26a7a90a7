import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import type { Money } from '../format/money';
import { get, post } from './client';

export const statuses = ['pending', 'awaiting_approval', 'confirmed', 'shipped', 'completed', 'cancelled', 'rejected'] as const;
export type Status = (typeof statuses)[number];

/** Nothing happens to an order any more once it is in one of these. */
export function isTerminal(status: Status): boolean {
  return status === 'completed' || status === 'cancelled' || status === 'rejected';
}

export interface Address {
  line1: string;
  city: string;
  postcode: string;
  country: string;
}

export interface Customer {
  customer_id: string;
  name: string;
  email: string;
  address?: Address;
}

export interface Line {
  sku: string;
  quantity: number;
  total: Money;
}

export interface Order {
  order_id: string;
  status: Status;
  channel?: string;
  external_id?: string;
  customer: Customer;
  lines: Line[];
  total: Money;
  /** Why it was cancelled or rejected, in plain words. */
  reason?: string;
  created_at: string;
  updated_at: string;
}

export const stepStates = ['waiting', 'running', 'done', 'failed', 'compensating', 'compensated', 'skipped'] as const;
export type StepState = (typeof stepStates)[number];

export interface Step {
  name: string;
  state: StepState;
  attempts: number;
  error?: string;
}

export interface OrderWithSteps extends Order {
  steps?: Step[];
}

export interface OrderPage {
  items: Order[];
  /** Absent or empty on the last page. */
  next_cursor?: string;
}

export const kinds = ['http', 'outbox', 'event', 'command', 'email', 'push'] as const;
export type Kind = (typeof kinds)[number];

export interface TimelineItem {
  at: string;
  kind: Kind;
  name: string;
  detail?: Record<string, unknown>;
}

export interface Timeline {
  items: TimelineItem[];
  /** Services that did not answer, so that their part is not in items. */
  missing?: string[];
}

export const pageSize = 50;

export function orderList(status: Status | undefined) {
  return infiniteQueryOptions({
    queryKey: ['orders', 'list', status ?? 'all'],
    queryFn: ({ pageParam, signal }) => {
      const query = new URLSearchParams({ limit: String(pageSize) });
      if (status) query.set('status', status);
      if (pageParam) query.set('cursor', pageParam);
      return get<OrderPage>(`/api/orders?${query}`, signal);
    },
    initialPageParam: '',
    getNextPageParam: ({ next_cursor: next }) => (next === '' ? undefined : next),
  });
}

/**
 * One order. Steps change without a fact about it (a retry is one), so while the
 * order is under way it is also asked for at intervals.
 */
export function order(id: string) {
  return queryOptions({
    queryKey: ['orders', 'one', id],
    queryFn: ({ signal }) => get<OrderWithSteps>(path(id), signal),
    refetchInterval: ({ state }) => (state.data && !isTerminal(state.data.status) ? 3000 : false),
  });
}

export function timeline(id: string) {
  return queryOptions({
    queryKey: ['orders', 'timeline', id],
    queryFn: ({ signal }) => get<Timeline>(`${path(id)}/timeline`, signal),
  });
}

export function cancelOrder(id: string, reason: string): Promise<Order> {
  return post<Order>(`${path(id)}/cancel`, reason === '' ? {} : { reason });
}

/** Whether a cancellation still makes sense to ask for; the server has the last word. */
export function cancellable(o: OrderWithSteps): boolean {
  if (isTerminal(o.status) || o.status === 'shipped') return false;
  const dispatch = o.steps?.find((s) => s.name === 'inventory.dispatch');
  const undoing = o.steps?.some((s) => s.state === 'compensating' || s.state === 'compensated');
  return !undoing && (dispatch === undefined || dispatch.state === 'waiting');
}

function path(id: string): string {
  return `/api/orders/${encodeURIComponent(id)}`;
}
