import { describe, expect, it, vi } from 'vitest';
import { ApiError, Unreachable, api, ok } from './client';
import type { Order } from './orders';
import { cancelOrder, cancellable, placeOrder } from './orders';
import { withSteps } from '../testing/app';

function respond(body: string, status = 200) {
  const fetch = vi.fn<(request: Request) => Promise<Response>>(() =>
    Promise.resolve(new Response(body, { status, headers: { 'Content-Type': 'application/json' } })),
  );
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

describe('ok', () => {
  const get = (signal?: AbortSignal) => ok(api.GET('/api/orders/{id}', { params: { path: { id: 'a/b' } }, ...(signal && { signal }) }));

  it('returns the body', async () => {
    const fetch = respond('{"order_id":"a/b"}');
    expect(await get()).toEqual({ order_id: 'a/b' });
    expect(fetch.mock.calls[0]?.[0].url).toMatch(/\/api\/orders\/a%2Fb$/);
  });

  it('throws the problem that the server names', async () => {
    respond('{"code":"order_not_found","detail":"there is no order x","errors":[{"pointer":"/a","detail":"no"}]}', 404);
    const error: unknown = await get().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 404, code: 'order_not_found', message: 'there is no order x', errors: [{ pointer: '/a', detail: 'no' }] });
  });

  it('throws the status when a proxy answers with a page', async () => {
    respond('<html>', 502);
    await expect(get()).rejects.toMatchObject({ name: 'ApiError', status: 502, message: 'status 502' });
  });

  it('takes a page in place of JSON for no answer', async () => {
    respond('<html>');
    await expect(get()).rejects.toBeInstanceOf(Unreachable);
  });

  it('tells a server that is away from a refusal', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    await expect(get()).rejects.toBeInstanceOf(Unreachable);
  });

  it('passes on that it was aborted', async () => {
    const abort = new AbortController();
    abort.abort();
    vi.stubGlobal('fetch', () => Promise.reject(new DOMException('aborted', 'AbortError')));
    await expect(get(abort.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });
});

it('a body is sent as JSON', async () => {
  const fetch = respond('{}', 202);
  await cancelOrder('ord_1', 'no');
  const request = fetch.mock.calls[0]?.[0];
  expect(request?.method).toBe('POST');
  expect(request?.headers.get('Content-Type')).toBe('application/json');
  expect(await request?.text()).toBe('{"reason":"no"}');
});

it('an order is placed under the key that was given', async () => {
  const fetch = respond('{"order_id":"ord_1"}', 202);
  const address = { line1: 'a', city: 'b', postcode: 'c', country: 'GB' };
  await placeOrder('k1', { customer: { name: 'Ada', email: 'a@b.c', address }, lines: [{ sku: 'tea', quantity: 1 }], payment_token: 'tok_visa' });
  expect(fetch.mock.calls[0]?.[0].headers.get('Idempotency-Key')).toBe('k1');
});

describe('cancellable', () => {
  const at = (dispatch: 'waiting' | 'running' | 'done'): Partial<Order> => ({
    steps: [
      { name: 'inventory.reserve', state: 'done', attempts: 1 },
      { name: 'inventory.dispatch', state: dispatch, attempts: 0 },
    ],
  });
  it.each<[string, Partial<Order>, boolean]>([
    ['pending', {}, true],
    ['awaiting approval', { status: 'awaiting_approval' }, true],
    ['confirmed, dispatch not asked for', { status: 'confirmed', ...at('waiting') }, true],
    ['confirmed, dispatch under way', { status: 'confirmed', ...at('running') }, false],
    ['shipped', { status: 'shipped', ...at('done') }, false],
    ['completed', { status: 'completed' }, false],
    ['cancelled', { status: 'cancelled' }, false],
    ['rejected', { status: 'rejected' }, false],
    ['being undone', { steps: [{ name: 'inventory.reserve', state: 'compensating', attempts: 1 }] }, false],
    ['without steps yet', { steps: [] }, true],
  ])('%s', (_, part, want) => {
    expect(cancellable(withSteps(part))).toBe(want);
  });
});
