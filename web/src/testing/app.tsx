import { QueryClientProvider } from '@tanstack/react-query';
import { render } from '@testing-library/react';
import { RouterProvider, createMemoryRouter } from 'react-router';
import { vi } from 'vitest';
import type { Order } from '../api/orders';
import { createQueryClient } from '../api/queries';
import { LiveClient } from '../live/client';
import { LiveProvider } from '../live/context';
import { routes } from '../routes';
import { FakeTransport } from './live';

export type Handler = (request: { url: URL; headers: Headers; body: unknown }) => Response | Promise<Response>;

export function answer(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
}

export function problem(status: number, code: string, detail: string): Response {
  return answer({ status, code, detail }, status);
}

/**
 * The whole console at a path, with a server made of handlers by "METHOD /path".
 * A call without a handler gets no answer, as from a server that is away.
 */
export function renderApp(path: string, handlers: Record<string, Handler>) {
  const requests: string[] = [];
  const server: Record<string, Handler> = {
    'GET /readyz': () => answer({ ready: true, missing: [] }),
    'GET /api/products': () => answer({ items: [] }),
    ...handlers,
  };
  vi.stubGlobal('fetch', async (request: Request) => {
    const url = new URL(request.url);
    const call = `${request.method} ${url.pathname}`;
    requests.push(call + url.search);
    const handle = server[call];
    if (!handle) throw new TypeError('Failed to fetch');
    const body = await request.text();
    return handle({ url, headers: request.headers, body: body === '' ? undefined : (JSON.parse(body) as unknown) });
  });
  vi.stubGlobal('scrollTo', () => undefined);

  const push = new FakeTransport();
  const queries = createQueryClient();
  queries.setDefaultOptions({ queries: { ...queries.getDefaultOptions().queries, retryDelay: 0 } });
  const live = new LiveClient({ transports: { socket: push.connect, stream: push.connect }, random: () => 0 });
  const router = createMemoryRouter(routes(), { initialEntries: [path] });
  render(
    <QueryClientProvider client={queries}>
      <LiveProvider client={live}>
        <RouterProvider router={router} />
      </LiveProvider>
    </QueryClientProvider>,
  );
  return { push, server, requests, router };
}

export function makeOrder(part: Partial<Order> = {}): Order {
  return {
    order_id: 'ord_1',
    status: 'pending',
    channel: 'web',
    customer: { customer_id: 'cus_1', name: 'Ada Lovelace', email: 'ada@example.org' },
    lines: [{ sku: 'tea', quantity: 2, total: { amount: 1998, currency: 'EUR' } }],
    total: { amount: 1998, currency: 'EUR' },
    created_at: '2026-11-09T13:59:00Z',
    ordered_at: '2026-11-09T13:59:00Z',
    updated_at: '2026-11-09T13:59:00Z',
    ...part,
  };
}

export function withSteps(part: Partial<Order> = {}): Order {
  return {
    ...makeOrder(),
    steps: [
      { name: 'inventory.reserve', state: 'done', attempts: 1 },
      { name: 'payment.authorize', state: 'running', attempts: 3, error: 'the provider did not answer' },
      { name: 'inventory.dispatch', state: 'waiting', attempts: 0 },
    ],
    ...part,
  };
}
