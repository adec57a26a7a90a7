import { describe, expect, it } from 'vitest';
import { SseParser } from './sse';

const whole = (text: string) => new SseParser().push(text);

describe('SseParser', () => {
  it.each([
    ['one event', 'id: 1\ndata: a\n\n', ['a']],
    ['two events', 'data: a\n\ndata: b\n\n', ['a', 'b']],
    ['several lines of data', 'data: a\ndata: b\n\n', ['a\nb']],
    ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
    ['CR', 'data: a\r\rdata: b\r\r\n', ['a', 'b']],
    ['comments and unknown fields', ': ping\n\nretry: 5\nevent: x\ndata: a\n\n', ['a']],
    ['one leading space at most', 'data:  a\n\ndata:b\n\n', [' a', 'b']],
    ['an unfinished event', 'data: a\n', []],
    ['empty data', 'data\n\n', ['']],
  ])('%s', (_, text, want) => {
    expect(whole(text)).toEqual(want);
  });

  it('does not care where the stream was cut', () => {
    const text = ': hi\r\nid: 1\r\ndata: {"a":1}\r\n\r\ndata: b\ndata: c\n\ndata: d\r\r\n';
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))], `cut at ${cut}`).toEqual(['{"a":1}', 'b\nc', 'd']);
    }
  });
});
