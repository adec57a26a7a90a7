import { act, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { Email } from '../../api/emails';
import { answer, problem, renderApp, withSteps } from '../../testing/app';
import { change } from '../../testing/live';
import { sandboxed } from './sandbox';

function mail(part: Partial<Email> = {}): Email {
  return {
    id: 'eml_1', order_id: 'ord_1', kind: 'confirmed', state: 'sent', attempts: 1, sent_at: '2026-11-09T14:00:00Z', message_id: 'eml_1@shop.example',
    possible_duplicate: false, created_at: '2026-11-09T13:59:59Z', ...part,
  };
}

const asSent = { from: 'Cartwheel <shop@example.org>', to: ['Ada <ada@example.org>'], subject: 'Your order is confirmed', text: 'Hello Ada,', html: '<!doctype html><h1>Hello</h1><script>alert(1)</script>' };

describe('the list', () => {
  it('shows how each mail stands, and leads to it', async () => {
    renderApp('/mails', {
      'GET /api/emails': () => answer({ items: [mail(), mail({ id: 'eml_2', kind: 'refunded', state: 'queued', attempts: 2, sent_at: null }), mail({ id: 'eml_3', kind: 'shipped', state: 'failed', sent_at: null })] }),
    });
    expect((await screen.findByRole('link', { name: 'Order confirmed' })).getAttribute('href')).toBe('/mails/eml_1');
    within(screen.getByRole('row', { name: /Refund/ })).getByText('Waits for another attempt');
    within(screen.getByRole('row', { name: /Order shipped/ })).getByText('Given up');
    expect(document.title).toBe('Mails · Cartwheel');
  });

  it('can be that of one order', async () => {
    const { requests, router } = renderApp('/mails?order=ord_1', { 'GET /api/emails': () => answer({ items: [] }) });
    await screen.findByText('No mails about this order yet');
    expect(requests).toContain('GET /api/emails?limit=50&order_id=ord_1');
    await userEvent.click(screen.getByRole('button', { name: 'Show all mails' }));
    await screen.findByText('No mails yet');
    expect(router.state.location.search).toBe('');
  });

  it('follows the facts', async () => {
    const { push, server } = renderApp('/mails', { 'GET /api/emails': () => answer({ items: [] }) });
    await screen.findByText('No mails yet');
    act(() => push.last.hello('t1'));
    server['GET /api/emails'] = () => answer({ items: [mail()] });
    act(() => push.last.changes('t2', change({ topic: 'notifications', key: 'eml_1', event_type: 'notification.email_sent.v1', order_id: 'ord_1' })));
    await screen.findByRole('link', { name: 'Order confirmed' });
  });

  it('says what is wrong and tries again', async () => {
    const { server } = renderApp('/mails', { 'GET /api/emails': () => problem(503, 'service_unavailable', 'away') });
    await screen.findByText('The mails could not be loaded');
    server['GET /api/emails'] = () => answer({ items: [mail()] });
    await userEvent.click(screen.getByRole('button', { name: 'Try again' }));
    await screen.findByRole('link', { name: 'Order confirmed' });
  });
});

describe('a mail', () => {
  it('is shown as it was sent: its HTML in a sandbox, its text as text', async () => {
    renderApp('/mails/eml_1', { 'GET /api/emails/eml_1': () => answer({ mail: mail(), as_sent: asSent }), 'GET /api/links': () => answer({ mail: 'http://inbox/?message_id={message_id}' }) });
    await screen.findByRole('heading', { level: 1, name: 'Your order is confirmed' });
    const frame = screen.getByTitle('The mail “Your order is confirmed”');
    expect(frame.getAttribute('sandbox')).not.toMatch(/allow-(scripts|same-origin)/);
    expect(frame.getAttribute('srcdoc')).toContain("default-src 'none'");
    screen.getByText('Ada <ada@example.org>');
    expect((await screen.findByRole('link', { name: 'See it there' })).getAttribute('href')).toBe('http://inbox/?message_id=eml_1%40shop.example');
    await userEvent.click(screen.getByRole('button', { name: 'Text' }));
    screen.getByText('Hello Ada,');
  });

  it.each([
    ['not_sent', /not sent yet/],
    ['no_inbox', /no inbox/],
    ['inbox_away', /does not answer/],
    ['not_there', /no longer has it/],
  ])('that cannot be shown says why: %s', async (missing, why) => {
    renderApp('/mails/eml_1', { 'GET /api/emails/eml_1': () => answer({ mail: mail(), missing }) });
    await screen.findByText(why);
    screen.getByRole('heading', { level: 1, name: 'Order confirmed' });
  });

  it('that does not exist is told from one that cannot be loaded', async () => {
    const { router } = renderApp('/mails/eml_9', { 'GET /api/emails/eml_9': () => problem(404, 'email_not_found', 'no') });
    await screen.findByRole('heading', { name: 'There is no such mail' });
    await act(() => router.navigate('/mails/eml_8'));
    await screen.findByText('The mail could not be loaded');
  });
});

it("an order's page leads to its mails", async () => {
  renderApp('/orders/ord_1', {
    'GET /api/orders/ord_1': () => answer(withSteps()),
    'GET /api/orders/ord_1/timeline': () => answer({ items: [] }),
    'GET /api/emails': () => answer({ items: [mail({ id: 'eml_2', kind: 'shipped' }), mail()] }),
  });
  const card = within(await screen.findByRole('region', { name: 'Mails' }));
  await waitFor(() => expect(card.getAllByRole('link').map((l) => l.getAttribute('href'))).toEqual(['/mails/eml_1', '/mails/eml_2']));
});

it('the policy of a mail’s frame stands before anything of the mail’s own', () => {
  const html = sandboxed(' <!DOCTYPE html PUBLIC "-//W3C//DTD"><html><head><script src="https://evil.example/x"></script>');
  expect(html).toMatch(/^<!doctype html><meta http-equiv="Content-Security-Policy"/);
  expect(html.match(/<!doctype/gi)).toHaveLength(1);
});
