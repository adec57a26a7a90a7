import type { Hello } from '../live/protocol';
import type { Change } from '../live/protocol';
import type { Listener, Opening, Transport } from '../live/transport';

/** One connection that a client opened, and the server's end of it. */
export class FakeConnection {
  readonly opening: Opening;
  readonly #on: Listener;
  open = true;

  constructor(opening: Opening, on: Listener) {
    this.opening = opening;
    this.#on = on;
  }

  hello(token: string, { reset = false } = {}): void {
    this.say({ type: 'hello', token, reset } satisfies Hello);
  }

  changes(token: string, ...items: Change[]): void {
    this.say({ type: 'changes', token, items });
  }

  say(message: unknown): void {
    this.raw(JSON.stringify(message));
  }

  raw(text: string): void {
    if (this.open) this.#on.message(text);
  }

  /** Ends the connection from the server's side. */
  drop(): void {
    if (!this.open) return;
    this.open = false;
    this.#on.closed();
  }
}

/** A transport whose server is the test. */
export class FakeTransport {
  readonly connections: FakeConnection[] = [];

  readonly connect: Transport = (opening, on) => {
    const connection = new FakeConnection(opening, on);
    this.connections.push(connection);
    return () => {
      connection.open = false;
    };
  };

  get last(): FakeConnection {
    const last = this.connections.at(-1);
    if (!last) throw new Error('nobody has connected');
    return last;
  }
}

/** A fact on the topic orders; what a test does not say is made up. */
export function change(part: Partial<Change> = {}): Change {
  const key = part.key ?? 'ord_1';
  return { topic: 'orders', key, version: 1, event_type: 'order.created.v2', event_id: 'e1', at: '2026-11-09T14:00:00Z', order_id: key, ...part };
}
