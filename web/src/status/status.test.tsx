import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { Missing } from '../api/readiness';
import { answer, renderApp } from '../testing/app';
import { progressOf } from './unready';

const empty = { 'GET /api/orders': () => answer({ items: [] }) };

describe('a shop that is not ready', () => {
  const missing = (...parts: Missing[]) => ({ ...empty, 'GET /readyz': () => answer({ ready: false, missing: parts }, 503) });

  it('says how far the saga engine is, and what happens to orders meanwhile', async () => {
    renderApp('/orders', missing({ name: 'temporal', state: 'building', detail: '412 of 1780 packages' }));
    const banner = within(await screen.findByRole('status'));
    banner.getByText('The saga engine is still being built — 412 of 1780 packages.');
    banner.getByText('Orders are accepted and wait.');
    expect(Number(banner.getByRole('progressbar').getAttribute('value'))).toBeCloseTo(412 / 1780);
  });

  it('lists several parts, and does not promise what needs one of them', async () => {
    renderApp('/orders', missing({ name: 'order', state: 'starting' }, { name: 'scales', state: 'down', detail: 'no power' }));
    const banner = within(await screen.findByRole('status'));
    expect(banner.getAllByRole('listitem').map((i) => i.textContent)).toEqual(['The order service is starting.', 'scales is away — no power.']);
    expect(banner.queryByText('Orders are accepted and wait.')).toBeNull();
  });

  it('is silent when nothing is missing', async () => {
    const { requests } = renderApp('/orders', empty);
    await screen.findByText('No orders yet');
    await waitFor(() => expect(requests).toContain('GET /readyz'));
    expect(screen.queryByRole('status')).toBeNull();
  });
});

describe('progressOf', () => {
  it.each([
    ['412 of 1780 packages', 412 / 1780],
    ['1780 of 1780', 1],
    ['5 of 0', undefined],
    ['9 of 3', undefined],
    ['compiling', undefined],
    [undefined, undefined],
  ])('%s', (detail, want) => {
    expect(progressOf({ name: 'x', ...(detail !== undefined && { detail }) })).toBe(want);
  });
});

describe('a lost connection', () => {
  it('is not worth a word until a try to come back has failed', async () => {
    const { push } = renderApp('/orders', empty);
    await screen.findByText('No orders yet');
    act(() => push.last.hello('t1'));
    expect(screen.getByTestId('live').textContent).toBe('Live');
    act(() => push.last.drop());
    expect(screen.queryByRole('status')).toBeNull();
    await waitFor(() => expect(push.connections).toHaveLength(2));
    act(() => push.last.drop());
    within(await screen.findByRole('status')).getByText('Live updates are interrupted.');
    expect(screen.getByTestId('live').textContent).toBe('Interrupted');
  });

  it('tells the loss of the server from the loss of its push, and comes back', async () => {
    const { push, server } = renderApp('/orders', empty);
    await screen.findByText('No orders yet');
    act(() => push.last.hello('t1'));
    const { 'GET /readyz': readyz } = server;
    delete server['GET /readyz'];
    delete server['GET /api/orders'];
    act(() => push.last.drop());
    await waitFor(() => expect(push.connections).toHaveLength(2));
    act(() => push.last.drop());
    const banner = within(await screen.findByRole('status'));
    await banner.findByText('The server does not answer.');
    banner.getByText(/Next try in \d+ s\./);

    const tries = push.connections.length;
    await userEvent.click(banner.getByRole('button', { name: 'Try now' }));
    expect(push.connections).toHaveLength(tries + 1);
    if (readyz) server['GET /readyz'] = readyz;
    act(() => push.last.hello('t1'));
    await waitFor(() => expect(screen.queryByRole('status')).toBeNull());
  });

  it('what could not be loaded meanwhile is loaded when the server is back', async () => {
    const { push, server } = renderApp('/orders', empty);
    await screen.findByText('No orders yet');
    act(() => push.last.hello('t1'));
    delete server['GET /api/orders'];
    act(() => push.last.drop());
    await userEvent.click(screen.getByRole('button', { name: 'Rejected' }));
    await screen.findByText('Orders could not be loaded', {}, { timeout: 3000 });
    server['GET /api/orders'] = empty['GET /api/orders'];
    await waitFor(() => expect(push.connections).toHaveLength(2));
    act(() => push.last.hello('t1')); // goes on where it was: nothing else is fetched again
    await screen.findByText('No order is rejected');
  });
});

it('an address that leads nowhere says so', async () => {
  renderApp('/no/such/page', {});
  await screen.findByRole('heading', { name: 'There is no such page' });
  screen.getByText('Nothing is at /no/such/page.');
});
