import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { PlaceRequest } from '../api/schema';
import { begin, pendingAttempt, send } from './attempt';

const body = (sku: string): PlaceRequest => ({
  customer: { name: 'Ada', email: 'a@b.c', address: { line1: '1', city: 'London', postcode: 'E1', country: 'GB' } },
  lines: [{ sku, quantity: 1 }],
  payment_token: 'tok_visa',
});

function server(answer: () => Response | Promise<Response>) {
  const keys: (string | null)[] = [];
  vi.stubGlobal('fetch', (request: Request) => {
    keys.push(request.headers.get('Idempotency-Key'));
    return Promise.resolve(answer());
  });
  return keys;
}

const json = (value: unknown, status: number) => new Response(JSON.stringify(value), { status, headers: { 'Content-Type': 'application/json' } });

beforeEach(() => localStorage.clear());

it('is over when the server has the order', async () => {
  server(() => json({ order_id: 'ord_1' }, 202));
  expect(await send(begin(body('tea')))).toBe('ord_1');
  expect(pendingAttempt()).toBeUndefined();
});

describe('an attempt whose end is not known', () => {
  it.each<[string, () => Response | Promise<Response>]>([
    ['no answer', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['a service that is away', () => json({ code: 'service_unavailable' }, 503)],
    ['a page in place of an answer', () => new Response('<html>', { status: 200 })],
    ['a first try still in flight', () => json({ code: 'idempotency_key_in_flight' }, 409)],
  ])('after %s: goes on as it was, whatever the basket is now', async (_, answer) => {
    const keys = server(answer);
    await expect(send(begin(body('tea')))).rejects.toThrow();
    const again = begin(body('milk'));
    expect(again.body).toEqual(body('tea'));
    await expect(send(again)).rejects.toThrow();
    expect(keys[0]).toBeTruthy();
    expect(keys[1]).toBe(keys[0]);
  });
});

it.each([
  ['a wrong field', 422, 'invalid'],
  ['out of stock', 409, 'out_of_stock'],
])('after %s: the next one is another order', async (_, status, code) => {
  const keys = server(() => json({ code }, status));
  await expect(send(begin(body('tea')))).rejects.toMatchObject({ code });
  expect(pendingAttempt()).toBeUndefined();
  await expect(send(begin(body('milk')))).rejects.toMatchObject({ code });
  expect(keys[1]).not.toBe(keys[0]);
});

it('survives a browser without storage, for as long as the page', async () => {
  vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
    throw new DOMException('full', 'QuotaExceededError');
  });
  const keys = server(() => Promise.reject(new TypeError('Failed to fetch')));
  await expect(send(begin(body('tea')))).rejects.toThrow();
  await expect(send(begin(body('tea')))).rejects.toThrow();
  expect(keys[1]).toBe(keys[0]);
});
