import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { Approval, Order } from '../../api/orders';
import { answer, makeOrder, problem, renderApp, withSteps } from '../../testing/app';
import { change } from '../../testing/live';

const inMinutes = (n: number) => new Date(Date.now() + n * 60_000).toISOString();

function waiting(part: Partial<Order> = {}, approval: Partial<Approval> = {}): Order {
  return makeOrder({
    status: 'awaiting_approval',
    total: { amount: 61_200, currency: 'EUR' },
    lines: [
      { sku: 'tea', quantity: 1, total: { amount: 1_200, currency: 'EUR' } },
      { sku: 'truffles', quantity: 12, total: { amount: 60_000, currency: 'EUR' } },
    ],
    updated_at: inMinutes(-1),
    approval: { above: { amount: 50_000, currency: 'EUR' }, deadline: inMinutes(29), ...approval },
    ...part,
  });
}

const list = (...items: Order[]) => ({ 'GET /api/orders': () => answer({ items }), 'GET /api/products': () => answer({ items: [{ sku: 'truffles', name: 'Black truffles' }] }) });
const rows = async () => (await screen.findAllByTestId('waiting')).map((li) => within(li));

describe('the list', () => {
  it('says what waits, why and how long it still may, the most urgent first', async () => {
    const { requests } = renderApp('/approvals', list(waiting(), waiting({ order_id: 'ord_2', customer: { customer_id: 'c', name: 'Grace', email: '' } }, { deadline: inMinutes(0.5) })));
    const [first, second] = await rows();
    first?.getByText('Grace');
    first?.getByText(/^\d\d s$/);
    second?.getByText('Its total of €612.00 is above €500.00, from where on a person decides.');
    second?.getByText(/^2[89] min \d+ s$/);
    expect(await second?.findByText('Black truffles')).toBeTruthy();
    expect(second?.getByRole('list', { name: 'What was ordered' }).textContent).toBe('12 × Black truffles1 × tea');
    screen.getByText('2 waiting');
    expect(requests).toContain('GET /api/orders?status=awaiting_approval&limit=100');
    expect(document.title).toBe('Approvals · Cartwheel');
  });

  it('says when the time is up', async () => {
    renderApp('/approvals', list(waiting({}, { deadline: inMinutes(-1) })));
    const [only] = await rows();
    only?.getByText('Time is up');
  });

  it('is empty in words', async () => {
    renderApp('/approvals', list());
    await screen.findByText('No order waits for a person');
    expect(screen.getByRole('link', { name: 'To the scenario' }).getAttribute('href')).toBe('/scenarios/approval');
  });

  it('says what is wrong and tries again', async () => {
    const { server } = renderApp('/approvals', { 'GET /api/orders': () => problem(503, 'service_unavailable', 'away') });
    await screen.findByText('The orders that wait could not be loaded');
    Object.assign(server, list(waiting()));
    await userEvent.click(screen.getByRole('button', { name: 'Try again' }));
    await rows();
  });

  it('follows the facts: an order that comes, one that somebody else decided', async () => {
    const { push, server } = renderApp('/approvals', list());
    await screen.findByText('No order waits for a person');
    act(() => push.last.hello('t1'));
    Object.assign(server, list(waiting()));
    act(() => push.last.changes('t2', change({ version: 2, event_type: 'order.approval_requested.v1' })));
    await rows();
    Object.assign(server, list());
    act(() => push.last.changes('t3', change({ version: 3, event_type: 'order.rejected.v1' })));
    await screen.findByText('No order waits for a person');
  });
});

describe('deciding', () => {
  it.each([
    ['approve', 'Approve', 'Approved'],
    ['reject', 'Reject', 'Rejected'],
  ] as const)('%s sends the note, and says so', async (verb, button, done) => {
    const bodies: unknown[] = [];
    renderApp('/approvals', {
      ...list(waiting()),
      [`POST /api/orders/ord_1/${verb}`]: ({ body }) => {
        bodies.push(body);
        return answer(waiting(), 202);
      },
    });
    const [only] = await rows();
    await userEvent.click(only?.getByRole('button', { name: `${button} the order of Ada Lovelace, €612.00` }) ?? document.body);
    const dialog = within(await screen.findByRole('alertdialog'));
    await userEvent.type(dialog.getByRole('textbox'), ' called them ');
    expect(bodies).toEqual([]);
    await userEvent.click(dialog.getByRole('button', { name: button }));
    await waitFor(() => expect(bodies).toEqual([{ reason: 'called them' }]));
    await waitFor(() => expect(only?.queryByRole('button')).toBeNull());
    only?.getByText(done);
  });

  it('too late is told, though the order has left the list', async () => {
    const { server } = renderApp('/approvals', { ...list(waiting()), 'POST /api/orders/ord_1/approve': () => problem(409, 'order_state', 'the order is rejected') });
    const [only] = await rows();
    await userEvent.click(only?.getByRole('button', { name: /^Approve/ }) ?? document.body);
    const dialog = within(await screen.findByRole('alertdialog'));
    Object.assign(server, list());
    await userEvent.click(dialog.getByRole('button', { name: 'Approve' }));
    await screen.findByText('No order waits for a person');
    dialog.getByText('The order has gone too far for that. It is on its way, or already at its end.');
  });
});

describe("on the order's own page", () => {
  it('the decision can be made', async () => {
    const o = { ...withSteps(), ...waiting() };
    const { requests } = renderApp('/orders/ord_1', {
      'GET /api/orders/ord_1': () => answer(o),
      'GET /api/orders/ord_1/timeline': () => answer({ items: [] }),
      'POST /api/orders/ord_1/approve': () => answer(o, 202),
    });
    const details = within(await screen.findByRole('region', { name: 'Details' }));
    await details.findByText(/above €500.00/);
    details.getByText(/^2[89] min/);
    await userEvent.click(screen.getByRole('button', { name: 'Approve' }));
    await userEvent.click(within(await screen.findByRole('alertdialog')).getByRole('button', { name: 'Approve' }));
    await waitFor(() => expect(requests).toContain('POST /api/orders/ord_1/approve'));
  });

  it('what was decided stays', async () => {
    const o = withSteps({ status: 'completed', approval: { above: { amount: 1, currency: 'EUR' }, deadline: inMinutes(1), decided_at: inMinutes(-1), approved: true, note: 'a good customer' } });
    renderApp('/orders/ord_1', { 'GET /api/orders/ord_1': () => answer(o), 'GET /api/orders/ord_1/timeline': () => answer({ items: [] }) });
    const details = within(await screen.findByRole('region', { name: 'Details' }));
    await details.findByText('a good customer');
    expect(screen.queryByRole('button', { name: 'Approve' })).toBeNull();
  });
});
