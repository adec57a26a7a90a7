import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeTransport, change } from '../testing/live';
import { LiveClient } from './client';
import type { Change } from './protocol';

let socket: FakeTransport;
let stream: FakeTransport;
let client: LiveClient;
let seen: Change[];
let resets: number;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  socket = new FakeTransport();
  stream = new FakeTransport();
  client = new LiveClient({ transports: { socket: socket.connect, stream: stream.connect }, random: () => 1 });
  seen = [];
  resets = 0;
  client.onChanges((changes) => seen.push(...changes));
  client.onReset(() => resets++);
  client.want(['orders']);
  client.start();
});

afterEach(() => client.stop());

const versions = () => seen.map((c) => `${c.topic} ${c.key} ${c.version}`);

describe('connecting', () => {
  it('asks for the wanted topics and starts with the present', () => {
    expect(socket.last.opening).toEqual({ topics: ['orders'], token: undefined });
    expect(client.status).toEqual({ state: 'connecting', failures: 0 });
  });

  it('is open once greeted, and what was fetched before counts as old', () => {
    socket.last.hello('t1');
    expect(client.status).toEqual({ state: 'open', via: 'socket' });
    expect(resets).toBe(1);
  });

  it('does nothing until somebody wants something', () => {
    const idle = new LiveClient({ transports: { socket: socket.connect, stream: stream.connect } });
    idle.start();
    expect(idle.status).toEqual({ state: 'idle' });
    expect(socket.connections).toHaveLength(1); // the other client's
    idle.want(['payments']);
    expect(socket.last.opening.topics).toEqual(['payments']);
    idle.stop();
  });

  it('starts over when a page wants more topics, because the token says nothing about them', () => {
    const first = socket.last;
    first.hello('t1');
    client.want(['payments', 'orders']);
    expect(first.open).toBe(false);
    expect(socket.last.opening).toEqual({ topics: ['orders', 'payments'], token: undefined });
    socket.last.hello('t2');
    expect(resets).toBe(2);
  });

  it('keeps its connection when a page wants what is wanted already', () => {
    client.want(['orders']);
    expect(socket.connections).toHaveLength(1);
  });
});

describe('changes', () => {
  beforeEach(() => socket.last.hello('t1'));

  it('arrive in order', () => {
    socket.last.changes('t2', change({ version: 1 }), change({ version: 2 }));
    socket.last.changes('t3', change({ version: 3 }));
    expect(versions()).toEqual(['orders ord_1 1', 'orders ord_1 2', 'orders ord_1 3']);
  });

  it('are dropped when they are not newer, per topic and key', () => {
    socket.last.changes('t2', change({ version: 2 }), change({ version: 2 }), change({ version: 1 }));
    socket.last.changes('t3', change({ key: 'ord_2', version: 1 }), change({ topic: 'payments', version: 1 }));
    expect(versions()).toEqual(['orders ord_1 2', 'orders ord_2 1', 'payments ord_1 1']);
  });

  it('that are all old are not worth a call', () => {
    const listener = vi.fn();
    client.onChanges(listener);
    socket.last.changes('t2', change({ version: 1 }));
    socket.last.changes('t3', change({ version: 1 }));
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('survive messages that nobody understands', () => {
    socket.last.raw('not json');
    socket.last.raw('null');
    socket.last.say({ type: 'weather', token: 't9' });
    socket.last.say({ type: 'changes', token: 't2', items: [{ topic: 1 }, change({ version: 4 })] });
    expect(versions()).toEqual(['orders ord_1 4']);
  });

  it('stop at the end of a subscription', () => {
    const listener = vi.fn();
    client.onChanges(listener)();
    socket.last.changes('t2', change());
    expect(listener).not.toHaveBeenCalled();
  });
});

describe('after a break', () => {
  beforeEach(() => socket.last.hello('t1'));

  it('goes on after the newest token, without fetching anything again', () => {
    socket.last.changes('t2', change({ version: 1 }));
    socket.last.drop();
    expect(client.status).toEqual({ state: 'waiting', failures: 0, retryAt: 500 });
    vi.advanceTimersByTime(500);
    expect(socket.last.opening.token).toBe('t2');
    socket.last.hello('t2');
    socket.last.changes('t4', change({ version: 1 }), change({ version: 2 }));
    expect(versions()).toEqual(['orders ord_1 1', 'orders ord_1 2']);
    expect(resets).toBe(1); // the first connection's
  });

  it('goes on after the hello when nothing came since', () => {
    socket.last.drop();
    vi.advanceTimersByTime(500);
    expect(socket.last.opening.token).toBe('t1');
  });

  it('starts over when the token was too old, and forgets the versions of the log before', () => {
    socket.last.changes('t2', change({ version: 7 }));
    socket.last.drop();
    vi.advanceTimersByTime(500);
    socket.last.hello('u1', { reset: true });
    expect(resets).toBe(2);
    socket.last.changes('u2', change({ version: 1 }));
    expect(versions()).toEqual(['orders ord_1 7', 'orders ord_1 1']);
    socket.last.drop();
    vi.advanceTimersByTime(500);
    expect(socket.last.opening.token).toBe('u2');
  });

  it('asks for the topics that came while it was away', () => {
    socket.last.drop();
    client.want(['payments']);
    expect(socket.last.opening).toEqual({ topics: ['orders', 'payments'], token: undefined });
    socket.last.hello('t2');
    vi.advanceTimersByTime(60_000); // the try that it was waiting for does not come on top
    expect(socket.connections).toHaveLength(2);
  });
});

describe('while the server is away', () => {
  it('waits longer each time, up to 15 s, and never gives up', () => {
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      [...socket.connections, ...stream.connections].find((c) => c.open)?.drop();
      if (client.status.state !== 'waiting') throw new Error(`it is ${client.status.state}`);
      waits.push(client.status.retryAt - Date.now());
      vi.advanceTimersByTime(waits.at(-1) ?? 0);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 15000, 15000, 15000, 15000, 15000]);
  });

  it('spreads its tries over half of the wait', () => {
    for (const [random, wait] of [[0, 500], [0.5, 750], [1, 1000]] as const) {
      const transport = new FakeTransport();
      const one = new LiveClient({ transports: { socket: transport.connect, stream: transport.connect }, random: () => random });
      one.want(['orders']);
      one.start();
      transport.last.drop();
      expect(one.status).toEqual({ state: 'waiting', failures: 1, retryAt: wait });
      one.stop();
    }
  });

  it('begins anew with short waits after it was greeted', () => {
    socket.last.drop();
    vi.advanceTimersByTime(1000);
    socket.last.hello('t1');
    socket.last.drop();
    expect(client.status).toEqual({ state: 'waiting', failures: 0, retryAt: 1500 });
  });

  it('takes a server that says nothing for one that is away', () => {
    vi.advanceTimersByTime(9999);
    expect(client.status.state).toBe('connecting');
    vi.advanceTimersByTime(1);
    expect(client.status).toEqual({ state: 'waiting', failures: 1, retryAt: 11_000 });
    expect(socket.connections[0]?.open).toBe(false);
  });

  it('tries at once when told to', () => {
    socket.last.drop();
    client.retryNow();
    expect(socket.connections).toHaveLength(2);
    client.retryNow(); // it is trying already
    expect(socket.connections).toHaveLength(2);
    vi.advanceTimersByTime(5000); // and the wait that it cut short is over
    expect(socket.connections).toHaveLength(2);
  });

  it('stays quiet after stop', () => {
    socket.last.drop();
    client.stop();
    vi.advanceTimersByTime(60_000);
    expect(socket.connections).toHaveLength(1);
    expect(client.status).toEqual({ state: 'idle' });
  });
});

describe('without WebSockets', () => {
  const failTwice = () => {
    socket.last.drop();
    vi.advanceTimersByTime(1000);
    socket.last.drop();
    vi.advanceTimersByTime(2000);
  };

  it('falls back to server-sent events after two failed openings', () => {
    socket.last.drop();
    vi.advanceTimersByTime(1000);
    expect(stream.connections).toHaveLength(0);
    socket.last.drop();
    vi.advanceTimersByTime(2000);
    expect(stream.connections).toHaveLength(1);
    stream.last.hello('t1');
    stream.last.changes('t2', change());
    expect(client.status).toEqual({ state: 'open', via: 'stream' });
    expect(versions()).toEqual(['orders ord_1 1']);
  });

  it('resumes the events where they broke off', () => {
    failTwice();
    stream.last.hello('t1');
    stream.last.changes('t2', change());
    stream.last.drop();
    vi.advanceTimersByTime(500);
    expect(stream.connections).toHaveLength(2);
    expect(stream.last.opening.token).toBe('t2');
  });

  it('gives the WebSocket another turn when the events do not open either', () => {
    failTwice();
    stream.last.drop();
    vi.advanceTimersByTime(4000);
    expect(socket.connections).toHaveLength(3);
  });

  it('does not count a WebSocket that was open', () => {
    socket.last.drop();
    vi.advanceTimersByTime(1000);
    socket.last.hello('t1');
    socket.last.drop();
    vi.advanceTimersByTime(500);
    socket.last.drop();
    vi.advanceTimersByTime(1000);
    expect(stream.connections).toHaveLength(0);
    expect(socket.connections).toHaveLength(4);
  });
});

it('takes a connection on which nothing is said for a minute for a dead one', () => {
  const before = socket.last;
  before.hello('t1');
  vi.advanceTimersByTime(59_000);
  before.say({ type: 'here' });
  vi.advanceTimersByTime(59_999);
  expect(client.status.state).toBe('open');
  vi.advanceTimersByTime(1);
  expect(before.open).toBe(false);
  expect(client.status).toMatchObject({ state: 'waiting', failures: 0 });
  vi.advanceTimersByTime(500);
  expect(socket.last.opening.token).toBe('t1');
});

it('connects again, with its token, when the network has changed under it', () => {
  const before = socket.last;
  before.hello('t1');
  client.reconnect();
  expect(before.open).toBe(false);
  expect(socket.last.opening.token).toBe('t1');
});
