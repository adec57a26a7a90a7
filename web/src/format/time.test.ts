import { describe, expect, it } from 'vitest';
import { formatAgo, formatDay, formatLeft, formatMoment, formatOffset, formatWhen } from './time';

const at = '2026-11-09T14:03:27.500Z';
const later = (seconds: number) => Date.parse(at) + seconds * 1000;

describe('formatAgo', () => {
  it.each([
    [-30, 'just now'], // the server's clock is ahead
    [0, 'just now'],
    [2, '2 s ago'],
    [59.9, '59 s ago'],
    [60, '1 min ago'],
    [3599, '59 min ago'],
    [3600, '1 h ago'],
    [47 * 3600, '47 h ago'],
    [48 * 3600, '2 d ago'],
  ])('after %d s: %s', (seconds, want) => {
    expect(formatAgo(at, later(seconds))).toBe(want);
  });
});

describe('formatLeft', () => {
  it.each([
    [0.1, '1 s'],
    [42, '42 s'],
    [60, '1 min 0 s'],
    [1752, '29 min 12 s'],
    [11_100, '3 h 5 min'],
    [0, ''],
    [-7, ''],
  ])('with %d s to go: %s', (seconds, want) => {
    expect(formatLeft(new Date(later(seconds)).toISOString(), later(0))).toBe(want);
  });
});

describe('formatOffset', () => {
  it.each([
    [0, '+0 ms'],
    [0.412, '+412 ms'],
    [-0.004, '−4 ms'],
    [2.306, '+2.31 s'],
    [200, '+3 min 20 s'],
    [7500, '+2 h 5 min'],
  ])('%d s: %s', (seconds, want) => {
    expect(formatOffset(at, new Date(later(seconds)).toISOString())).toBe(want);
  });
});

describe('formatWhen', () => {
  it('gives the time for today and the day for the past', () => {
    expect(formatWhen(at, later(1))).toMatch(/^\d\d:\d\d:27$/);
    expect(formatWhen(at, later(5 * 86400))).toMatch(/^(9|10) Nov, \d\d:\d\d$/);
  });
});

it('formatMoment leaves no question', () => {
  expect(formatMoment(at)).toMatch(/^(9|10) Nov 2026, \d\d:\d\d:27 \S+/);
});

it('formatDay names days and months, in whichever zone the visitor is', () => {
  expect(formatDay('2026-11-09')).toBe('9 Nov');
  expect(formatDay('1997-01')).toBe('Jan 1997');
});
