import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { answer, problem, renderApp, withSteps } from '../../testing/app';
import { change } from '../../testing/live';
import { factsOf } from './timeline';

const timeline = {
  items: [
    { at: '2026-11-09T13:59:00.000Z', kind: 'http', name: 'POST /api/orders', detail: { status: 202, request_id: 'r1' } },
    { at: '2026-11-09T13:59:00.412Z', kind: 'event', name: 'order.created.v2', detail: { topic: 'orders', partition: 3, offset: 42, event_id: 'e1' } },
  ],
};
const handlers = { 'GET /api/orders/ord_1': () => answer(withSteps()), 'GET /api/orders/ord_1/timeline': () => answer(timeline) };
const part = (name: string) => screen.findByRole('region', { name }).then(within);

describe("an order's page", () => {
  it('shows its head, its steps, its lines and its way', async () => {
    renderApp('/orders/ord_1', { ...handlers, 'GET /api/products': () => answer({ items: [{ sku: 'tea', name: 'Assam tea' }] }) });
    await screen.findByRole('heading', { level: 1, name: '€19.98' });
    expect(document.title).toBe('Order ord_1 · Cartwheel');

    const steps = within(within(screen.getByRole('region', { name: 'Progress' })).getAllByRole('list')[0] ?? document.body).getAllByRole('listitem');
    expect(steps.map((s) => s.textContent)).toEqual(['Reserve stockDone', 'Authorise paymentRunning · 3 attempts', 'DispatchWaiting']);
    expect(steps[1]?.getAttribute('aria-current')).toBe('step');
    (await part('Progress')).getByText('the provider did not answer');

    const lines = await part('Items');
    await lines.findByText('Assam tea');
    lines.getByText('2 ×');

    const items = await part('Timeline');
    await items.findByText('+412 ms');
    items.getByText('orders/3 @ 42');
  });

  it.each([
    ['failed', 'Failed'],
    ['compensating', 'Failed, undoing'],
    ['compensated', 'Failed, undone'],
  ] as const)('shows where the saga stopped when that step is %s', async (state, label) => {
    const steps = [
      { name: 'inventory.reserve', state: 'compensated', attempts: 1 },
      { name: 'payment.authorize', state, attempts: 1, error: 'declined: the bank declined the card' },
    ] as const;
    renderApp('/orders/ord_1', { ...handlers, 'GET /api/orders/ord_1': () => answer(withSteps({ status: 'rejected', steps: [...steps] })) });
    const [reserve, authorize] = (await (await part('Progress')).findAllByRole('listitem')).map((s) => [s.textContent, s.getAttribute('data-state')]);
    expect(reserve).toEqual(['Reserve stockUndone', 'compensated']);
    expect(authorize).toEqual([`Authorise payment${label}`, 'failed']);
    screen.getByText('declined: the bank declined the card');
  });

  it.each([
    ['no answer', undefined],
    ['a service that is away', () => problem(503, 'service_unavailable', 'the order service does not answer')],
  ])('gets over a first fetch that fails by itself, though its push is there and says nothing: %s', async (_, failing) => {
    const { push, server } = renderApp('/orders/ord_1', failing ? { 'GET /api/orders/ord_1': failing } : {});
    await waitFor(() => push.last.hello('t1'));
    const alert = await screen.findByText('The order could not be loaded');
    let flickers = 0;
    const watch = setInterval(() => (flickers += alert.isConnected || screen.queryAllByText('€19.98').length > 0 ? 0 : 1), 20);
    server['GET /api/orders/ord_1'] = () => answer(withSteps({ status: 'completed' }));
    await screen.findByRole('heading', { level: 1, name: '€19.98' });
    clearInterval(watch);
    screen.getByText('Completed');
    expect(flickers).toBe(0); // while it is asked again, it does not come and go
  });

  it('opens an entry on its raw detail', async () => {
    renderApp('/orders/ord_1', handlers);
    const items = await part('Timeline');
    await userEvent.click(await items.findByRole('button', { name: /Event.*order\.created\.v2/ }));
    items.getByText(/"event_id": "e1"/);
  });

  it('says what became of an event in each consumer group', async () => {
    const detail = {
      topic: 'orders', partition: 3, offset: 42, event_id: 'e1',
      consumers: [
        { group: 'analytics.facts', event_id: 'e1', state: 'done', at: '2026-11-09T13:59:00.432Z' },
        { group: 'order.start-saga', event_id: 'e1', state: 'read' },
        { group: 'analytics.sales', event_id: 'e1', state: 'waiting' },
        { group: 'notification.mails', event_id: 'e1', state: 'given_up' },
        { group: 'of a later version', event_id: 'e1', state: 'pondered' },
      ],
    };
    renderApp('/orders/ord_1', { ...handlers, 'GET /api/orders/ord_1/timeline': () => answer({ items: [{ at: '2026-11-09T13:59:00.412Z', kind: 'event', name: 'order.created.v2', detail }] }) });
    const list = within(await screen.findByRole('list', { name: 'What became of order.created.v2 in each consumer group' }));
    expect(list.getAllByRole('listitem').map((li) => `${within(li).getByRole('img').getAttribute('aria-label')}: ${li.textContent}`)).toEqual([
      'took effect +20 ms: analytics.facts+20 ms',
      'read: order.start-saga',
      'not read yet: analytics.sales',
      'given up: there is a dead letter: notification.mails',
    ]);
    expect(list.getByRole('link', { name: 'notification.mails' }).getAttribute('href')).toBe('/dead-letters');
  });

  it('hides kinds of entries', async () => {
    renderApp('/orders/ord_1', handlers);
    const items = await part('Timeline');
    await userEvent.click(await items.findByRole('button', { name: 'Event' }));
    expect(items.queryByText('order.created.v2')).toBeNull();
    await userEvent.click(items.getByRole('button', { name: 'HTTP' }));
    items.getByText('Nothing of the chosen kinds.');
    await userEvent.click(items.getByRole('button', { name: 'Event' }));
    items.getByText('order.created.v2');
  });

  it('names the services whose part is missing', async () => {
    renderApp('/orders/ord_1', { ...handlers, 'GET /api/orders/ord_1/timeline': () => answer({ ...timeline, missing: ['payment'] }) });
    await screen.findByText('Without the part of payment, which does not answer.');
  });

  it('is whole without its timeline', async () => {
    renderApp('/orders/ord_1', { ...handlers, 'GET /api/orders/ord_1/timeline': () => problem(503, 'service_unavailable', 'away') });
    const items = await part('Timeline');
    await items.findByText('The timeline could not be loaded', {}, { timeout: 3000 });
    screen.getByRole('heading', { level: 1, name: '€19.98' });
  });

  it('follows the facts of its own order, and of no other', async () => {
    const { push, server, requests } = renderApp('/orders/ord_1', handlers);
    await screen.findByRole('heading', { level: 1, name: '€19.98' });
    expect(push.last.opening.topics).toEqual(['inventory', 'notifications', 'orders', 'payments', 'shipments']);
    act(() => push.last.hello('t1'));
    const asked = () => requests.filter((r) => r === 'GET /api/orders/ord_1').length;
    await waitFor(() => expect(asked()).toBe(2));

    act(() => push.last.changes('t2', change({ topic: 'payments', key: 'pay_2', order_id: 'ord_2' })));
    server['GET /api/orders/ord_1'] = () => answer(withSteps({ status: 'rejected', reason: 'the card was declined', steps: [] }));
    act(() => push.last.changes('t3', change({ topic: 'payments', key: 'pay_1', event_type: 'payment.declined.v1', order_id: 'ord_1' })));
    await screen.findByText('the card was declined');
    screen.getByText('The saga has not planned this order yet.');
    expect(asked()).toBe(3);
  });

  it('tells an order that is not there from one that cannot be loaded', async () => {
    const { router } = renderApp('/orders/ord_9', { 'GET /api/orders/ord_9': () => problem(404, 'order_not_found', 'there is no order') });
    await screen.findByRole('heading', { name: 'There is no such order' });
    await act(() => router.navigate('/orders/ord_8'));
    const alert = await screen.findByRole('alert', {}, { timeout: 3000 });
    within(alert).getByText('The server does not answer. It may be restarting.');
  });
});

describe('cancelling', () => {
  const open = async () => {
    await userEvent.click(await screen.findByRole('button', { name: 'Cancel order' }));
    return screen.getByRole('textbox');
  };

  it('asks first, and sends the reason', async () => {
    const bodies: unknown[] = [];
    renderApp('/orders/ord_1', {
      ...handlers,
      'POST /api/orders/ord_1/cancel': ({ body }) => {
        bodies.push(body);
        return answer(withSteps(), 202);
      },
    });
    await userEvent.type(await open(), ' ordered twice ');
    expect(bodies).toEqual([]);
    await userEvent.click(screen.getByRole('button', { name: 'Cancel the order' }));
    await screen.findByText('The cancellation is under way.');
    expect(bodies).toEqual([{ reason: 'ordered twice' }]);
    expect(screen.queryByRole('button', { name: 'Cancel order' })).toBeNull();
  });

  it('can be thought better of', async () => {
    const { requests } = renderApp('/orders/ord_1', handlers);
    await open();
    await userEvent.click(screen.getByRole('button', { name: 'Keep it' }));
    screen.getByRole('button', { name: 'Cancel order' });
    expect(requests.filter((r) => r.startsWith('POST'))).toEqual([]);
  });

  it('that comes too late is told in plain words, and the page catches up', async () => {
    const { server } = renderApp('/orders/ord_1', { ...handlers, 'POST /api/orders/ord_1/cancel': () => problem(409, 'order_state', 'order ord_1 is shipped') });
    await open();
    server['GET /api/orders/ord_1'] = () => answer(withSteps({ status: 'shipped' }));
    await userEvent.click(screen.getByRole('button', { name: 'Cancel the order' }));
    await screen.findByText('Shipped');
    screen.getByText('The order was not cancelled. The order has gone too far for that. It is on its way, or already at its end.');
    expect(screen.queryByRole('textbox')).toBeNull();
  });

  it('that fails can be tried again', async () => {
    const { server } = renderApp('/orders/ord_1', { ...handlers, 'POST /api/orders/ord_1/cancel': () => problem(503, 'saga_unavailable', 'away') });
    await open();
    await userEvent.click(screen.getByRole('button', { name: 'Cancel the order' }));
    await screen.findByText(/The saga engine is not there at the moment/);
    server['POST /api/orders/ord_1/cancel'] = () => answer(withSteps(), 202);
    await userEvent.click(screen.getByRole('button', { name: 'Cancel the order' }));
    await screen.findByText('The cancellation is under way.');
  });

  it('is not offered once dispatch is under way', async () => {
    renderApp('/orders/ord_1', {
      ...handlers,
      'GET /api/orders/ord_1': () => answer(withSteps({ status: 'confirmed', steps: [{ name: 'inventory.dispatch', state: 'running', attempts: 1 }] })),
    });
    await screen.findByRole('heading', { level: 1, name: '€19.98' });
    expect(screen.queryByRole('button', { name: 'Cancel order' })).toBeNull();
  });
});

describe('factsOf', () => {
  const at = '2026-11-09T13:59:00Z';
  it.each([
    [{ at, kind: 'event', name: 'x', detail: { topic: 'orders', partition: 0, offset: 0 } }, 'orders/0 @ 0'],
    [{ at, kind: 'http', name: 'x', detail: { status: 202 } }, '202'],
    [{ at, kind: 'command', name: 'x', detail: { service: 'payment', outcome: 'done', attempts: 1 } }, 'payment · done'],
    [{ at, kind: 'command', name: 'x', detail: { service: 'payment', outcome: 'done', attempts: 3 } }, 'payment · done · 3 attempts'],
    [{ at, kind: 'email', name: 'x', detail: { state: 'sent', attempts: 2 } }, 'sent · 2 attempts'],
    [{ at, kind: 'push', name: 'x', detail: { readers: 1 } }, 'to 1 browser'],
    [{ at, kind: 'push', name: 'x', detail: {} }, ''],
  ] as const)('%j: %s', (item, want) => {
    expect(factsOf(item)).toBe(want);
  });
});
