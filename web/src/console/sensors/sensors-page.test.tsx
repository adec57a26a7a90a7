import { screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { answer, problem, renderApp } from '../../testing/app';
import type { ChartProps } from '../../ui/chart';

// The library draws; what it is given is ours.
vi.mock('../../ui/chart-recharts', () => ({
  Chart: ({ data, series, marks, formatY }: ChartProps) => (
    <output>{[...series.map((s) => `${s.name} ${data.map((d) => formatY(Number(d[s.key]))).join(' ')}`), ...(marks ?? []).map((m) => m.label)].join('; ')}</output>
  ),
}));

const ago = (minutes: number) => new Date(Math.floor(Date.now() / 60_000) * 60_000 - minutes * 60_000).toISOString();
const frozen = {
  sensor: 'hall.frozen.room-3', site: 'hall', zone: 'frozen', device: 'room-3', unit: 'C', value: -9.53, at: new Date().toISOString(),
  windows: [
    { start: ago(2), count: 60, min: -21, max: -8, mean: -10.04, revision: 2 },
    { start: ago(1), count: 30, min: -10, max: -9, mean: -9.5, revision: 0 },
  ],
  anomalies: [{ at: ago(1), rule: 'too_warm', value: -10.04, limit: -12, severity: 'critical', detail: 'above -12 C for 3 minutes' }],
};

it('shows a zone: its sensors now, its minutes, and what is wrong', async () => {
  renderApp('/sensors', { 'GET /api/sensors': () => answer({ items: [frozen, { ...frozen, sensor: 'hall.frozen.old', device: 'old', value: 1, at: ago(10), windows: [], anomalies: [] }], bad_frames: 2 }) });
  const zone = within(await screen.findByRole('region', { name: 'Frozen, hall' }));
  expect((await zone.findByRole('status')).textContent).toBe('room-3 -10 °C -9.5 °C; old NaN °C NaN °C; room-3, Too warm: above -12 C for 3 minutes');
  zone.getByText('1 anomaly in a day');
  zone.getByText('-9.5 °C');
  zone.getByText(/silent/);
  within(zone.getByRole('list', { name: 'Anomalies of Frozen, hall' })).getByText('Too warm');
  screen.getByText('2 frames could not be read and were dropped since the service started.');

  await userEvent.click(zone.getByText('As a table'));
  const rows = await zone.findAllByRole('row');
  expect(rows.slice(1).map((r) => r.textContent)).toEqual([expect.stringContaining('not over yet'), expect.stringContaining('revised 1 ×')]);
});

it('says how to get sensors when there are none', async () => {
  renderApp('/sensors', { 'GET /api/sensors': () => answer({ items: [], bad_frames: 0 }) });
  await screen.findByText('No sensor has reported yet');
  screen.getByText('bin/cartwheel sensors');
});

it('says what is wrong and tries again', async () => {
  const { server } = renderApp('/sensors', { 'GET /api/sensors': () => problem(503, 'service_unavailable', 'away') });
  const alert = within(await screen.findByRole('alert'));
  server['GET /api/sensors'] = () => answer({ items: [frozen], bad_frames: 0 });
  await userEvent.click(alert.getByRole('button', { name: 'Try again' }));
  await screen.findByRole('region', { name: 'Frozen, hall' });
});
