import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { ListOutputBody } from '../../api/schema';
import { answer, makeOrder, problem, renderApp } from '../../testing/app';
import { change } from '../../testing/live';

const pageOf = (...items: ListOutputBody['items']): ListOutputBody => ({ items });
const row = async (id: string) => {
  const link = await screen.findByRole('link', { name: id });
  const found = link.closest('tr');
  if (!found) throw new Error(`${id} is not in a row`);
  return within(found);
};

describe('the list', () => {
  it('has a row for each order, which leads to it', async () => {
    renderApp('/orders', { 'GET /api/orders': () => answer(pageOf(makeOrder())) });
    const first = await row('ord_1');
    expect(document.title).toBe('Orders · Cartwheel');
    for (const words of ['Pending', 'Ada Lovelace', '2 units', '€19.98']) first.getByText(words);
    expect(screen.getByRole('link', { name: 'ord_1' }).getAttribute('href')).toBe('/orders/ord_1');
  });

  it('shows that it is loading, for those who cannot see it as well', async () => {
    let respond: (r: Response) => void = () => undefined;
    renderApp('/orders', { 'GET /api/orders': () => new Promise((resolve) => (respond = resolve)) });
    expect((await screen.findByRole('table', { name: 'Loading orders' })).getAttribute('aria-busy')).toBe('true');
    await waitFor(() => {
      respond(answer(pageOf(makeOrder())));
      expect(screen.getByRole('table', { name: 'Orders' }).getAttribute('aria-busy')).toBe('false');
    });
  });

  it('says how to get orders when there are none', async () => {
    renderApp('/orders', { 'GET /api/orders': () => answer(pageOf()) });
    await screen.findByText('No orders yet');
    screen.getByText('bin/cartwheel load');
  });

  it('filters by status, in an address of its own', async () => {
    const { requests, router } = renderApp('/orders?status=rejected', { 'GET /api/orders': () => answer(pageOf()) });
    await screen.findByText('No order is rejected');
    expect(requests).toContain('GET /api/orders?limit=50&status=rejected');
    await userEvent.click(screen.getByRole('button', { name: 'Awaiting approval' }));
    await screen.findByText('No order is awaiting approval');
    expect(router.state.location.search).toBe('?status=awaiting_approval');
    expect(screen.getByRole('button', { name: 'Awaiting approval' }).getAttribute('aria-pressed')).toBe('true');
    await userEvent.click(screen.getByRole('button', { name: 'Show all orders' }));
    await screen.findByText('No orders yet');
    expect(router.state.location.search).toBe('');
  });

  it('goes on by cursor, to the end', async () => {
    const { requests } = renderApp('/orders', {
      'GET /api/orders': ({ url }) =>
        answer(url.searchParams.get('cursor') === 'c+1' ? pageOf(makeOrder({ order_id: 'ord_0' })) : { items: [makeOrder()], next_cursor: 'c+1' }),
    });
    await userEvent.click(await screen.findByRole('button', { name: 'Load more' }));
    await row('ord_0');
    await row('ord_1');
    screen.getByText('That is all.');
    expect(requests).toContain('GET /api/orders?limit=200&cursor=c%2B1');
  });

  it('keeps what it has when the next page fails', async () => {
    renderApp('/orders', {
      'GET /api/orders': ({ url }) => (url.searchParams.has('cursor') ? problem(400, 'cursor_invalid', 'no') : answer({ items: [makeOrder()], next_cursor: 'c1' })),
    });
    await userEvent.click(await screen.findByRole('button', { name: 'Load more' }));
    await screen.findByText('The next page could not be loaded.');
    await row('ord_1');
  });

  it('says what is wrong and tries again', async () => {
    const { server } = renderApp('/orders', { 'GET /api/orders': () => problem(503, 'service_unavailable', 'the order service does not answer') });
    const alert = await screen.findByRole('alert', {}, { timeout: 3000 });
    within(alert).getByText('A service is not there at the moment. Try again shortly.');
    server['GET /api/orders'] = () => answer(pageOf(makeOrder()));
    await userEvent.click(within(alert).getByRole('button', { name: 'Try again' }));
    await row('ord_1');
  });
});

describe('live', () => {
  it('statuses follow the facts without a request', async () => {
    const { push, requests } = renderApp('/orders', { 'GET /api/orders': () => answer(pageOf(makeOrder())) });
    const first = await row('ord_1');
    act(() => push.last.hello('t1'));
    await waitFor(() => expect(requests.filter((r) => r.startsWith('GET /api/orders'))).toHaveLength(2));
    act(() => push.last.changes('t2', change({ version: 2, event_type: 'order.confirmed.v1' })));
    await first.findByText('Confirmed');
    act(() => push.last.changes('t3', change({ version: 3, event_type: 'order.shipped.v1' }), change({ version: 4, event_type: 'order.completed.v1' })));
    await first.findByText('Completed');
    expect(requests.filter((r) => r.startsWith('GET /api/orders'))).toHaveLength(2);
  });

  it('an answer that is older than a fact does not put the status back', async () => {
    const { push, requests } = renderApp('/orders', { 'GET /api/orders': () => answer(pageOf(makeOrder())) });
    const first = await row('ord_1');
    act(() => push.last.hello('t1'));
    await waitFor(() => expect(requests.filter((r) => r.startsWith('GET /api/orders'))).toHaveLength(2));
    act(() => push.last.changes('t2', change({ version: 2, event_type: 'order.completed.v1' }), change({ key: 'ord_9' })));
    await first.findByText('Completed');
    await waitFor(() => expect(requests.filter((r) => r.startsWith('GET /api/orders'))).toHaveLength(3));
    first.getByText('Completed');
  });

  it('a new order shows up at the top of the first page', async () => {
    const { push, server } = renderApp('/orders', { 'GET /api/orders': () => answer(pageOf(makeOrder())) });
    await row('ord_1');
    act(() => push.last.hello('t1'));
    server['GET /api/orders'] = () => answer(pageOf(makeOrder({ order_id: 'ord_2' }), makeOrder()));
    act(() => push.last.changes('t2', change({ key: 'ord_2' })));
    await row('ord_2');
    expect(screen.getAllByRole('link', { name: /^ord_/ }).map((l) => l.textContent)).toEqual(['ord_2', 'ord_1']);
  });

  it('a reader who has loaded more is told of new orders, and rows stay where they are', async () => {
    const first = { items: [makeOrder()], next_cursor: 'c1' };
    const { push, server } = renderApp('/orders', {
      'GET /api/orders': ({ url }) => answer(url.searchParams.has('cursor') ? pageOf(makeOrder({ order_id: 'ord_0' })) : first),
    });
    await userEvent.click(await screen.findByRole('button', { name: 'Load more' }));
    await row('ord_0');
    act(() => push.last.hello('t1'));
    act(() => push.last.changes('t2', change({ key: 'ord_2' }), change({ key: 'ord_3' })));
    const pill = await screen.findByRole('button', { name: '2 new orders' });
    expect(screen.queryByRole('link', { name: 'ord_2' })).toBeNull();

    server['GET /api/orders'] = () => answer({ items: [makeOrder({ order_id: 'ord_3' }), makeOrder({ order_id: 'ord_2' })], next_cursor: 'c2' });
    await userEvent.click(pill);
    await row('ord_3');
    expect(screen.queryByRole('button', { name: /new orders/ })).toBeNull();
  });

  it('an order leaves a filter that it no longer fits', async () => {
    const { push, server } = renderApp('/orders?status=pending', { 'GET /api/orders': () => answer(pageOf(makeOrder())) });
    await row('ord_1');
    act(() => push.last.hello('t1'));
    server['GET /api/orders'] = () => answer(pageOf());
    act(() => push.last.changes('t2', change({ version: 2, event_type: 'order.confirmed.v1' })));
    await screen.findByText('No order is pending');
  });

  it('a reset fetches everything again', async () => {
    const { push, server } = renderApp('/orders', { 'GET /api/orders': () => answer(pageOf(makeOrder())) });
    const first = await row('ord_1');
    act(() => push.last.hello('t1'));
    act(() => push.last.drop());
    server['GET /api/orders'] = () => answer(pageOf(makeOrder({ status: 'cancelled', updated_at: '2026-11-09T15:00:00Z' })));
    await waitFor(() => expect(push.connections).toHaveLength(2));
    act(() => push.last.hello('u1', { reset: true }));
    await first.findByText('Cancelled');
  });
});
