import { screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import type { Handler } from '../../testing/app';
import { answer, problem, renderApp } from '../../testing/app';
import type { ChartProps } from '../../ui/chart';

// The library draws; what it is given is ours.
vi.mock('../../ui/chart-recharts', () => ({
  Chart: ({ data, formatX, formatY, series }: ChartProps) => (
    <output>{data.filter((d) => d[series[0]?.key ?? ''] !== 0).map((d) => `${formatX(d.x)}: ${formatY(Number(d[series[0]?.key ?? '']))}`).join(', ')}</output>
  ),
}));

const today = new Date().toISOString().slice(0, 10);
const sale = (day: string, amount: number, currency = 'EUR', orders = 2) => ({ day, orders, units: 5, revenue: { amount, currency } });

function server(part: Record<string, Handler> = {}): Record<string, Handler> {
  return {
    'GET /api/sales': ({ url }) => answer({ items: [sale(today, 123_456), ...((url.searchParams.get('from') ?? '') < '1997' ? [sale('1997-03-05', 4_200, 'USD', 1)] : [])] }),
    'GET /api/sales/products': () => answer({ items: [{ sku: 'tea', units: 7, revenue: { amount: 7_000, currency: 'EUR' } }] }),
    'GET /api/sales/minutes': () => answer({ items: [{ minute: `${today}T10:00:00Z`, orders: 0 }, { minute: `${today}T10:01:00Z`, orders: 3 }] }),
    'GET /api/products': () => answer({ items: [{ sku: 'tea', name: 'Assam tea' }] }),
    ...part,
  };
}

it('shows revenue by day with its figures, orders by minute, and what sells best', async () => {
  const { requests } = renderApp('/sales', server());
  const figures = (await screen.findByText('€617.28')).closest('dl');
  expect(figures?.textContent).toBe('Revenue€1,234.56Orders2Units5Average order€617.28');
  const revenue = within(screen.getByRole('region', { name: 'Revenue per day' }));
  expect((await revenue.findByRole('status')).textContent).toMatch(/: €1\.23k$/);
  within(screen.getByRole('region', { name: 'Orders per minute' })).getByText('3 in the last hour');
  within(screen.getByRole('region', { name: 'Best sellers' })).getByText('Assam tea');
  expect(document.title).toBe('Sales · Cartwheel');
  expect(requests.find((r) => r.startsWith('GET /api/sales?'))).toMatch(new RegExp(`from=\\d{4}-\\d\\d-\\d\\d&to=${today}$`));
});

it('has a table for what its charts show', async () => {
  renderApp('/sales', server());
  const revenue = within(await screen.findByRole('region', { name: 'Revenue per day' }));
  await userEvent.click(await revenue.findByText('As a table'));
  const rows = await revenue.findAllByRole('row');
  expect(rows).toHaveLength(31);
  expect(rows[1]?.textContent).toContain('€1,234.56'); // the newest day first
});

it('goes back as far as there are sales, in each currency on its own', async () => {
  const { router } = renderApp('/sales', server());
  await userEvent.click(await screen.findByRole('button', { name: 'All' }));
  expect(router.state.location.search).toBe('?range=all');
  await userEvent.click(await screen.findByRole('button', { name: 'USD' }));
  const revenue = within(screen.getByRole('region', { name: 'Revenue per month' }));
  expect((await revenue.findByRole('status')).textContent).toBe('Mar 1997: US$42');
});

it('says when nothing was sold, and where to look', async () => {
  const { router } = renderApp('/sales', server({ 'GET /api/sales': () => answer({ items: [] }), 'GET /api/sales/products': () => answer({ items: [] }) }));
  await screen.findByText('Nothing was sold in this time');
  within(screen.getByRole('region', { name: 'Best sellers' })).getByText('Nothing yet.');
  await userEvent.click(screen.getByRole('button', { name: 'Show all' }));
  expect(router.state.location.search).toBe('?range=all');
});

it('is usable without its parts, and says what is wrong without all of it', async () => {
  const away = () => problem(503, 'service_unavailable', 'away');
  const { server: handlers } = renderApp('/sales', server({ 'GET /api/sales': away, 'GET /api/sales/minutes': away, 'GET /api/sales/products': away }));
  const alert = within(await screen.findByRole('alert'));
  handlers['GET /api/sales'] = () => answer({ items: [sale(today, 100)] });
  await userEvent.click(alert.getByRole('button', { name: 'Try again' }));
  await screen.findByText('They cannot be counted at the moment.');
  await screen.findByText('They cannot be listed at the moment.');
});
