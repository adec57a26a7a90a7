import { describe, expect, it } from 'vitest';
import { bytesOf, jsonLines, marks, readable } from './payload';

describe('readable', () => {
  it('shows text as text', () => {
    expect(readable(bytesOf(btoa('{"a": 1}')))).toEqual({ text: '{"a": 1}', hex: false });
  });

  it('shows in hexadecimal what is no text', () => {
    expect(readable(new Uint8Array([0, 1, 0xff, 65]))).toEqual({ text: `000000  ${'00 01 ff 41'.padEnd(47)}  ...A`, hex: true });
  });
});

describe('jsonLines', () => {
  it('writes what JSON.stringify writes', () => {
    const value = { a: [1, { 'b/c': null }], d: {}, e: [], f: 'ü"' };
    expect(jsonLines(value).map((l) => l.text).join('\n')).toBe(JSON.stringify(value, null, 2));
  });

  it('knows where each line stands', () => {
    expect(jsonLines({ 'b/c': [5] }).map((l) => l.pointer)).toEqual(['', '/b~1c', '/b~1c/0', '', '']);
  });
});

describe('marks', () => {
  const lines = jsonLines({ data: { order_id: 7 } });
  it('marks the place that is named, the nearest one around it when that is missing', () => {
    const found = marks(lines, [
      { pointer: '/data/order_id', detail: 'expected string' },
      { pointer: '/data/customer_id', detail: 'is missing' },
      { pointer: '', detail: 'has no version' },
    ]);
    expect([...found]).toEqual([
      [2, ['expected string']],
      [1, ['is missing']],
      [0, ['has no version']],
    ]);
  });
});
