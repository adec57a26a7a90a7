import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import type { Task } from '../../api/tasks';
import { answer, problem, renderApp } from '../../testing/app';

function task(part: Partial<Task> = {}): Task {
  return {
    id: 'tsk_1', kind: 'compensation_failed', order_id: 'ord_1', command: 'payment.refund', detail: 'the account is closed', state: 'open',
    created_at: '2026-11-09T14:00:00Z', updated_at: '2026-11-09T14:00:00Z', ...part,
  };
}

const list = (...items: Task[]) => ({ 'GET /api/tasks': () => answer({ items }) });

it('a compensation that failed is asked for again', async () => {
  const { server, requests } = renderApp('/tasks', { ...list(task()), 'POST /api/tasks/tsk_1/retry': () => answer(task({ state: 'retrying' }), 202) });
  await screen.findByText('the account is closed', { exact: false });
  expect(screen.getByRole('link', { name: /ord_1/ }).getAttribute('href')).toBe('/orders/ord_1');
  Object.assign(server, list(task({ state: 'retrying' })));
  await userEvent.click(screen.getByRole('button', { name: 'Retry' }));
  await screen.findByText('Retrying');
  expect(requests).toContain('POST /api/tasks/tsk_1/retry');
  screen.getByText('Asked again. The task closes itself when the compensation is done.');
});

it.each([
  ['compensation_failed', true, /outside of the shop/],
  ['delivery_overdue', false, /where the parcel is/],
  ['parked_message', true, /never sent/],
] as const)('%s: can be retried: %s; done means something of its own', async (kind, retry, says) => {
  const { server, requests } = renderApp('/tasks', { ...list(task({ kind })), 'POST /api/tasks/tsk_1/done': () => answer(task({ kind, state: 'done' }), 202) });
  await screen.findByText('the account is closed', { exact: false });
  expect(screen.queryAllByRole('button', { name: 'Retry' })).toHaveLength(retry ? 1 : 0);
  await userEvent.click(screen.getByRole('button', { name: 'Mark as done' }));
  const dialog = within(await screen.findByRole('alertdialog'));
  dialog.getByText(says);
  expect(requests.filter((r) => r.startsWith('POST'))).toEqual([]);
  Object.assign(server, list(task({ kind, state: 'done' })));
  await userEvent.click(dialog.getByRole('button', { name: 'Mark as done' }));
  await screen.findByText('Nothing waits for a person');
  await userEvent.click(screen.getByRole('button', { name: 'All' }));
  await screen.findByText('Done');
});

it('a retry that is refused says why', async () => {
  renderApp('/tasks', { ...list(task()), 'POST /api/tasks/tsk_1/retry': () => problem(409, 'task_state', 'it has nothing to retry') });
  await userEvent.click(await screen.findByRole('button', { name: 'Retry' }));
  await waitFor(() => expect(screen.getByRole('alert').textContent).toBe('That did not work. It has nothing to retry.'));
});
