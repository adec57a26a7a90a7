import { describe, expect, it, vi } from 'vitest';
import { ApiError, Unreachable, get, post } from './client';
import type { OrderWithSteps } from './orders';
import { cancellable } from './orders';
import { withSteps } from '../testing/app';

function respond(body: string, status = 200) {
  const fetch = vi.fn<(path: string, init: RequestInit) => Promise<Response>>(() => Promise.resolve(new Response(body, { status })));
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

describe('get', () => {
  it('returns the body', async () => {
    respond('{"a":1}');
    expect(await get('/api/x')).toEqual({ a: 1 });
  });

  it('throws the problem that the server names', async () => {
    respond('{"code":"order_not_found","detail":"there is no order x","errors":[{"pointer":"/a","detail":"no"}]}', 404);
    const error: unknown = await get('/api/x').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 404, code: 'order_not_found', message: 'there is no order x', errors: [{ pointer: '/a', detail: 'no' }] });
  });

  it('throws the status when a proxy answers with a page', async () => {
    respond('<html>', 502);
    await expect(get('/api/x')).rejects.toMatchObject({ name: 'ApiError', status: 502, message: 'status 502' });
  });

  it('takes a page in place of JSON for no answer', async () => {
    respond('<html>');
    await expect(get('/api/x')).rejects.toBeInstanceOf(Unreachable);
  });

  it('tells a server that is away from a refusal', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    await expect(get('/api/x')).rejects.toBeInstanceOf(Unreachable);
  });

  it('passes on that it was aborted', async () => {
    const abort = new AbortController();
    abort.abort();
    vi.stubGlobal('fetch', () => Promise.reject(new DOMException('aborted', 'AbortError')));
    await expect(get('/api/x', abort.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });
});

it('post sends JSON', async () => {
  const fetch = respond('{}', 202);
  await post('/api/x', { reason: 'no' });
  const init = fetch.mock.calls[0]?.[1];
  expect(init).toMatchObject({ method: 'POST', body: '{"reason":"no"}' });
  expect(new Headers(init?.headers).get('Content-Type')).toBe('application/json');
});

describe('cancellable', () => {
  const at = (dispatch: 'waiting' | 'running' | 'done'): Partial<OrderWithSteps> => ({
    steps: [
      { name: 'inventory.reserve', state: 'done', attempts: 1 },
      { name: 'inventory.dispatch', state: dispatch, attempts: 0 },
    ],
  });
  it.each<[string, Partial<OrderWithSteps>, boolean]>([
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
