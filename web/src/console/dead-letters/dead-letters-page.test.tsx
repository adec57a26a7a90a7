import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import type { Letter } from '../../api/dead-letters';
import { answer, problem, renderApp } from '../../testing/app';

function letter(n: number, part: Partial<Letter> = {}): Letter {
  return {
    id: `notification.mails/0/${n}`, group: 'notification.mails', handler: 'mails', topic: 'orders', partition: 3, offset: n, timestamp: '2026-11-09T14:00:00Z', key: 'ord_1',
    reason: 'failed', error: 'refused', attempts: 5, failed_at: '2026-11-09T14:00:01Z', redrives: 0, state: 'dead', raw: '', event_type: 'order.shipped.v1', ...part,
  };
}

const list = (...items: Letter[]) => ({ 'GET /api/dead-letters': () => answer({ items }) });
const box = (n: number) => screen.findByRole('checkbox', { name: `Select order.shipped.v1, notification.mails/0/${n}` });

it('those that are selected are redriven together, after a dry run, and the report says what became of each', async () => {
  const bodies: unknown[] = [];
  renderApp('/dead-letters', {
    ...list(letter(1), letter(2), letter(3)),
    'POST /api/dead-letters/redrive': ({ body }) => {
      bodies.push(body);
      const { dry_run: dry = false, ids } = body as { dry_run?: boolean; ids: string[] };
      const [first = '', second = ''] = ids;
      return answer({ dry_run: dry, more: false, items: [{ id: first, outcome: dry ? 'would_redrive' : 'redriven' }, { id: second, outcome: 'came_back', detail: 'three times' }] });
    },
  });
  await userEvent.click(await box(1));
  await userEvent.click(await box(3));
  screen.getByText('2 selected');
  await userEvent.click(screen.getByRole('button', { name: 'Redrive 2 …' }));
  const dialog = within(await screen.findByRole('alertdialog'));
  await dialog.findByText('1 would be handed back');
  within(dialog.getByRole('list', { name: 'Letter by letter' })).getByText('Came back too often: three times');
  const ids = ['notification.mails/0/1', 'notification.mails/0/3'];
  expect(bodies).toEqual([{ ids, dry_run: true }]);

  await userEvent.click(dialog.getByRole('button', { name: 'Redrive 1' }));
  await dialog.findByText('What the redrive did');
  expect(bodies.at(-1)).toEqual({ ids });
  const report = dialog.getByRole('list', { name: 'Letter by letter' });
  expect(report.textContent).toBe('notification.mails/0/1Handed backnotification.mails/0/3Came back too often: three times');
  await userEvent.click(dialog.getByRole('button', { name: 'Close' }));
  await waitFor(() => expect(screen.queryByRole('alertdialog')).toBeNull());
  expect(screen.queryByText('2 selected')).toBeNull();
  screen.getByRole('button', { name: 'Redrive all …' });
});

it('all that are shown can be selected at once, and none', async () => {
  renderApp('/dead-letters', list(letter(1), letter(2)));
  await userEvent.click(await box(1));
  const all = screen.getByRole<HTMLInputElement>('checkbox', { name: 'Select all that are shown' });
  expect(all.indeterminate).toBe(true);
  await userEvent.click(all);
  screen.getByText('2 selected');
  expect((await screen.findAllByRole('row', { selected: true })).length).toBe(2);
  await userEvent.click(screen.getByRole('button', { name: 'Select none' }));
  expect(screen.queryAllByRole('row', { selected: true })).toEqual([]);
});

it('a redrive that fails says why, and changes nothing', async () => {
  renderApp('/dead-letters', {
    ...list(letter(1)),
    'POST /api/dead-letters/redrive': ({ body }) =>
      (body as { dry_run?: boolean }).dry_run ? answer({ dry_run: true, more: false, items: [{ id: 'notification.mails/0/1', outcome: 'would_redrive' }] }) : problem(503, 'service_unavailable', 'away'),
  });
  await userEvent.click(await box(1));
  await userEvent.click(screen.getByRole('button', { name: 'Redrive 1 …' }));
  const dialog = within(await screen.findByRole('alertdialog'));
  await userEvent.click(await dialog.findByRole('button', { name: 'Redrive 1' }));
  await dialog.findByText('A service is not there at the moment. Try again shortly.');
  await userEvent.click(dialog.getByRole('button', { name: 'Not now' }));
  await screen.findByText('1 selected');
});
