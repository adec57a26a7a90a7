import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import { untilAnswered } from './queries';
import type { OrderBody, PlaceRequest, Progress, ReceiptBody, Timeline, TimelineItem } from './schema';

export type { Line, Progress as Step, Timeline, TimelineItem } from './schema';
export type Status = OrderBody['status'];

export const statuses = ['pending', 'awaiting_approval', 'confirmed', 'shipped', 'completed', 'cancelled', 'rejected'] as const satisfies readonly Status[];

/** Nothing happens to an order any more once it is in one of these. */
export function isTerminal(status: Status): boolean {
  return status === 'completed' || status === 'cancelled' || status === 'rejected';
}

export type Order = OrderBody;
export type Approval = NonNullable<Order['approval']>;
export type StepState = Progress['state'];
export type Kind = TimelineItem['kind'];

export const kinds = ['http', 'outbox', 'event', 'command', 'email', 'push'] as const satisfies readonly Kind[];

/** Who goes on reading wants more at a time; 200 is what the API gives. */
const pageSize = { first: 50, further: 200 };

export function orderList(status: Status | undefined, words: string) {
  return infiniteQueryOptions({
    queryKey: ['orders', 'list', status ?? 'all', words],
    queryFn: ({ pageParam: cursor, signal }) =>
      ok(
        api.GET('/api/orders', {
          params: { query: { limit: cursor ? pageSize.further : pageSize.first, ...(status && { status }), ...(words && { q: words }), ...(cursor && { cursor }) } },
          signal,
        }),
      ),
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
    queryFn: ({ signal }) => ok(api.GET('/api/orders/{id}', { params: { path: { id } }, signal })),
    refetchInterval: (query) => {
      const { data } = query.state;
      return data && !isTerminal(data.status) ? 3000 : untilAnswered(query);
    },
  });
}

export function timeline(id: string) {
  return queryOptions({
    queryKey: ['orders', 'timeline', id],
    queryFn: ({ signal }): Promise<Timeline> => ok(api.GET('/api/orders/{id}/timeline', { params: { path: { id } }, signal })),
  });
}

/** Places an order. The same key and body again is the same order, however often it is sent. */
export function placeOrder(key: string, body: PlaceRequest): Promise<ReceiptBody> {
  return ok(api.POST('/api/orders', { params: { header: { 'Idempotency-Key': key } }, body }));
}

export function cancelOrder(id: string, reason: string): Promise<Order> {
  return ok(api.POST('/api/orders/{id}/cancel', { params: { path: { id } }, body: reason === '' ? {} : { reason } }));
}

export type Decision = 'approve' | 'reject';

/** Lets an order that waits for a person go on, or refuses it. */
export function decideOrder(id: string, decision: Decision, note: string): Promise<Order> {
  const call = { params: { path: { id } }, body: note === '' ? {} : { reason: note } };
  return ok(decision === 'approve' ? api.POST('/api/orders/{id}/approve', call) : api.POST('/api/orders/{id}/reject', call));
}

/**
 * Orders that wait for a person. That one has been approved is no fact that the
 * push tells of, so they are also asked for at intervals.
 */
export const approvals = infiniteQueryOptions({
  queryKey: ['orders', 'approvals'],
  queryFn: ({ pageParam: cursor, signal }) =>
    ok(api.GET('/api/orders', { params: { query: { status: 'awaiting_approval', limit: 100, ...(cursor && { cursor }) } }, signal })),
  initialPageParam: '',
  getNextPageParam: ({ next_cursor: next }) => (next === '' ? undefined : next),
  refetchInterval: 5000,
});

/** Whether a cancellation still makes sense to ask for; the server has the last word. */
export function cancellable(o: Order): boolean {
  if (isTerminal(o.status) || o.status === 'shipped') return false;
  const dispatch = o.steps?.find((s) => s.name === 'inventory.dispatch');
  const undoing = o.steps?.some((s) => s.state === 'compensating' || s.state === 'compensated');
  return !undoing && (dispatch === undefined || dispatch.state === 'waiting');
}
