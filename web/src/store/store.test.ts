import { describe, expect, it } from 'vitest';
import { ApiError } from '../api/client';
import type { Step, StepState } from '../api/orders';
import { change } from '../testing/live';
import { emptyForm, formOf, requestOf, wrongOf } from './form';
import { matches } from './match';
import { outcomeOf } from './outcome';
import { sum } from './priced';
import { newsOf } from './use-order-toasts';

describe('matches', () => {
  const product = { name: 'Crème brûlée, 2 pieces', sku: 'creme-brulee' };
  it.each([
    ['', true],
    ['creme', true],
    ['BRÛ cr', true],
    ['brulee 2', true],
    ['eme', false],
    ['creme cake', false],
    ['.*', true],
  ])('%j: %s', (wanted, want) => {
    expect(matches(product, wanted)).toBe(want);
  });
});

describe('wrongOf', () => {
  const request = requestOf({ ...emptyForm, name: ' Ada ' }, [{ sku: 'tea', quantity: 1 }, { sku: 'milk', quantity: 9 }]);

  it('sorts errors to fields, lines and the rest', () => {
    const errors = [
      { pointer: '/customer/name', detail: 'is too short' },
      { pointer: '/customer/name', detail: 'is odd' },
      { pointer: '/lines/1/quantity', detail: 'only 3 are left' },
      { pointer: '/lines/7/sku', detail: 'is not there' },
      { pointer: '/lines', detail: 'has too many' },
    ];
    const wrong = wrongOf(new ApiError(422, { code: 'invalid', errors }), request);
    expect(wrong.fields).toEqual({ name: 'is too short' });
    expect([...wrong.lines]).toEqual([['milk', 'only 3 are left']]);
    expect(wrong.rest).toEqual(['/lines/7/sku is not there', '/lines has too many']);
  });

  it('a request can be made a form again', () => {
    expect(formOf(request)).toEqual({ ...emptyForm, name: 'Ada' });
  });
});

describe('outcomeOf', () => {
  const step = (name: string, state: StepState, error?: string): Step => ({ name, state, attempts: 1, ...(error && { error }) });
  const total = { amount: 100, currency: 'EUR' };
  const none = 'Your card was not charged.';
  it.each([
    ['declined', [step('payment.authorize', 'failed', 'declined'), step('payment.capture', 'waiting')], total, none],
    ['capture refused', [step('payment.capture', 'compensated', 'refused')], total, none],
    ['courier refused', [step('payment.capture', 'compensated')], total, 'What you paid was refunded in full.'],
    ['refund under way', [step('payment.capture', 'compensating')], total, 'What you paid is on its way back to your card.'],
    ['free', [], { amount: 0, currency: 'EUR' }, 'It cost nothing.'],
  ])('says what became of the money: %s', (_, steps, amount, want) => {
    expect(outcomeOf({ status: 'rejected', reason: 'it was so', steps, total: amount })).toEqual({ tone: 'bad', words: ['It was so.', want] });
  });

  it('tells of the undoing before it has ended', () => {
    expect(outcomeOf({ status: 'confirmed', steps: [step('payment.capture', 'compensating')], total }).tone).toBe('warn');
  });
});

describe('sum', () => {
  const line = (amount: number, currency = 'EUR') => ({ sku: 'x', quantity: 1, product: undefined, total: { amount, currency } });
  it('adds what is in one currency, and nothing else', () => {
    expect(sum([line(1), line(2), { ...line(0), total: undefined }])).toEqual({ amount: 3, currency: 'EUR' });
    expect(sum([line(1), line(2, 'USD')])).toBeUndefined();
    expect(sum([])).toBeUndefined();
  });
});

describe('newsOf', () => {
  const link = 'http://inbox/?message_id={message_id}';
  it('leads to the mail as it was sent', () => {
    const mail = change({ topic: 'notifications', event_type: 'notification.email_sent.v1', data: { kind: 'shipped', message_id: '<a@b>' } });
    expect(newsOf(mail, link)).toEqual({ title: 'We sent you a mail', detail: 'Order shipped', link: { to: 'http://inbox/?message_id=%3Ca%40b%3E', label: 'Read it' } });
    expect(newsOf(mail, '')?.link?.to).toBe('/track/ord_1');
  });

  it('tells of a shipment, and not of every step', () => {
    expect(newsOf(change({ event_type: 'order.shipped.v1' }), link)?.title).toBe('Your order is on its way');
    expect(newsOf(change({ event_type: 'order.confirmed.v1' }), link)).toBeUndefined();
  });
});
