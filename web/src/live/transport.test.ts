import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { socket, stream } from './transport';

const listener = () => ({ message: vi.fn<(raw: string) => void>(), closed: vi.fn<() => void>() });

describe('socket', () => {
  class FakeWebSocket {
    static last: FakeWebSocket;
    onmessage: ((event: { data: unknown }) => void) | undefined;
    onclose: (() => void) | undefined;
    readonly close = vi.fn();
    readonly url: string;
    constructor(url: string) {
      this.url = url;
      FakeWebSocket.last = this;
    }
  }
  beforeEach(() => vi.stubGlobal('WebSocket', FakeWebSocket));

  it('names the topics, and the token when there is one', () => {
    socket({ topics: ['orders', 'payments'], token: undefined }, listener());
    expect(FakeWebSocket.last.url).toBe(`ws://${location.host}/api/ws?topics=orders%2Cpayments`);
    socket({ topics: ['orders'], token: 'a+b/c' }, listener());
    expect(FakeWebSocket.last.url).toBe(`ws://${location.host}/api/ws?topics=orders&resume=a%2Bb%2Fc`);
  });

  it('passes on text and the end, once', () => {
    const on = listener();
    socket({ topics: ['orders'], token: undefined }, on);
    const ws = FakeWebSocket.last;
    ws.onmessage?.({ data: 'hi' });
    ws.onmessage?.({ data: new ArrayBuffer(1) });
    ws.onclose?.();
    ws.onclose?.();
    expect(on.message.mock.calls).toEqual([['hi']]);
    expect(on.closed).toHaveBeenCalledTimes(1);
  });

  it('is silent after it was ended', () => {
    const on = listener();
    const end = socket({ topics: ['orders'], token: undefined }, on);
    end();
    expect(FakeWebSocket.last.close).toHaveBeenCalled();
    FakeWebSocket.last.onmessage?.({ data: 'late' });
    FakeWebSocket.last.onclose?.();
    expect(on.message).not.toHaveBeenCalled();
    expect(on.closed).not.toHaveBeenCalled();
  });
});

describe('stream', () => {
  let send: ReadableStreamDefaultController<Uint8Array>;
  let requests: { url: string; headers: Record<string, string>; signal: AbortSignal }[];
  let respond: () => Response;

  beforeEach(() => {
    requests = [];
    respond = () => new Response(new ReadableStream<Uint8Array>({ start: (controller) => void (send = controller) }));
    vi.stubGlobal('fetch', (url: string, init: { headers: Record<string, string>; signal: AbortSignal }) => {
      requests.push({ url, ...init });
      return Promise.resolve(respond());
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  const write = (text: string) => send.enqueue(new TextEncoder().encode(text));

  it('asks for what follows its token by Last-Event-ID', () => {
    stream({ topics: ['orders'], token: 't7' }, listener());
    stream({ topics: ['orders'], token: undefined }, listener());
    expect(requests[0]).toMatchObject({ url: '/api/sse?topics=orders', headers: { 'Last-Event-ID': 't7' } });
    expect(requests[1]?.headers).not.toHaveProperty('Last-Event-ID');
  });

  it('passes on events, wherever the bytes were cut, and the end', async () => {
    const on = listener();
    stream({ topics: ['orders'], token: undefined }, on);
    await vi.waitFor(() => expect(send).toBeDefined());
    const bytes = new TextEncoder().encode('data: Zoë\n\n');
    send.enqueue(bytes.slice(0, 9)); // within ë
    send.enqueue(bytes.slice(9));
    await vi.waitFor(() => expect(on.message.mock.calls).toEqual([['Zoë']]));
    send.close();
    await vi.waitFor(() => expect(on.closed).toHaveBeenCalledTimes(1));
  });

  it.each([
    ['a refusal', () => new Response('', { status: 503 })],
    [
      'no server',
      () => {
        throw new TypeError('Failed to fetch');
      },
    ],
  ])('takes %s for the end', async (_, failing) => {
    respond = failing;
    const on = listener();
    stream({ topics: ['orders'], token: undefined }, on);
    await vi.waitFor(() => expect(on.closed).toHaveBeenCalledTimes(1));
    expect(on.message).not.toHaveBeenCalled();
  });

  it('is silent after it was ended', async () => {
    const on = listener();
    const end = stream({ topics: ['orders'], token: undefined }, on);
    write('data: a\n\n');
    await vi.waitFor(() => expect(on.message).toHaveBeenCalledTimes(1));
    end();
    expect(requests[0]?.signal.aborted).toBe(true);
    write('data: b\n\n');
    send.close();
    await new Promise((resolve) => setTimeout(resolve)); // whatever was under way has arrived
    expect(on.message).toHaveBeenCalledTimes(1);
    expect(on.closed).not.toHaveBeenCalled();
  });
});
