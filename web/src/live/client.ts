import { Latest } from './latest';
import type { Change, Hello, Message } from './protocol';
import { parseMessage } from './protocol';
import type { Transport } from './transport';
import { socket, stream } from './transport';

export type Via = 'socket' | 'stream';

export type Status =
  | { state: 'idle' } // nobody wants anything yet
  | { state: 'connecting'; failures: number }
  | { state: 'open'; via: Via }
  | { state: 'waiting'; failures: number; retryAt: number };

export interface Options {
  transports?: Record<Via, Transport>;
  /** 0 <= random() < 1 */
  random?: () => number;
}

const firstDelay = 500;
const longestDelay = 15_000;
const helloTimeout = 10_000;
/** The server says something every 25 s. */
const longestSilence = 60_000;
const socketTries = 2;

/** A token and versions are kept for this many (topic, key); older ones can hardly come again. */
const remembered = 20_000;

/**
 * The connection to the server's push, for as long as the page lives.
 *
 * - Changes arrive in the server's order, each at most once: what is not newer by
 *   version than what was seen of its (topic, key) is dropped.
 * - After a break it goes on from the newest token, so that nothing is missed.
 *   Where that is not possible (first connection, more topics than before, a
 *   token that the server does not remember) it calls the reset listeners:
 *   whatever was fetched before that moment may be out of date.
 * - It never gives up: the delay between tries doubles up to 15 s, and is spread,
 *   so that a restarted server does not meet all browsers at once.
 * - A connection on which the server has not been heard for a minute is dead, even
 *   when nothing has ended it.
 * - A WebSocket that could not be opened twice in a row gives way to server-sent
 *   events; when those do not open either, the WebSocket has its turn again.
 */
export class LiveClient {
  readonly #transports: Record<Via, Transport>;
  readonly #random: () => number;

  readonly #topics = new Set<string>();
  readonly #seen = new Latest<string, number>(remembered);
  readonly #changeListeners = new Set<(changes: readonly Change[]) => void>();
  readonly #resetListeners = new Set<() => void>();
  readonly #statusListeners = new Set<() => void>();

  #running = false;
  #status: Status = { state: 'idle' };
  #token: string | undefined;
  #failures = 0; // openings in a row that brought no hello
  #socketFailures = 0;
  #hangUp: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ transports = { socket, stream }, random = Math.random }: Options = {}) {
    this.#transports = transports;
    this.#random = random;
  }

  /** The present state; the same object until it changes. */
  get status(): Status {
    return this.#status;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#connect();
  }

  stop(): void {
    this.#running = false;
    this.#disconnect();
    this.#failures = 0;
    this.#setStatus({ state: 'idle' });
  }

  /**
   * Asks for topics. They stay wanted: to hear a little too much costs less than
   * a new connection for each page that is left.
   */
  want(topics: readonly string[]): void {
    const before = this.#topics.size;
    for (const topic of topics) this.#topics.add(topic);
    if (this.#topics.size === before || !this.#running) return;
    this.#token = undefined; // it says nothing about the new topics
    this.#connect();
  }

  /** Connects at once: something says that the network is there, or another one than before. */
  reconnect(): void {
    if (this.#running) this.#connect();
  }

  /** Ends the waiting for the next try; does nothing otherwise. */
  retryNow(): void {
    if (this.#status.state === 'waiting') this.#connect();
  }

  onChanges(listener: (changes: readonly Change[]) => void): () => void {
    return subscribe(this.#changeListeners, listener);
  }

  onReset(listener: () => void): () => void {
    return subscribe(this.#resetListeners, listener);
  }

  onStatus(listener: () => void): () => void {
    return subscribe(this.#statusListeners, listener);
  }

  #connect(): void {
    this.#disconnect();
    if (this.#topics.size === 0) return;
    const via: Via = this.#socketFailures < socketTries ? 'socket' : 'stream';
    const token = this.#token;
    let greeted = false;
    this.#setStatus({ state: 'connecting', failures: this.#failures });

    const over = () => {
      this.#disconnect();
      if (!greeted) this.#noteFailure(via);
      this.#wait();
    };
    // Something that accepts connections and says nothing is as bad as nothing.
    const expect = (within: number) => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(over, within);
    };
    expect(helloTimeout);
    this.#hangUp = this.#transports[via](
      { topics: [...this.#topics].sort(), token },
      {
        closed: over,
        message: (raw) => {
          const message = parseMessage(raw);
          const hello = !greeted && message?.type === 'hello' ? message : undefined;
          if (!greeted && !hello) return;
          expect(longestSilence); // whatever it says, it is there
          greeted = true;
          if (hello) this.#greet(hello, token, via);
          else if (message) this.#take(message);
        },
      },
    );
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    const hangUp = this.#hangUp;
    this.#hangUp = undefined;
    hangUp?.();
  }

  #greet(hello: Hello, asked: string | undefined, via: Via): void {
    this.#failures = 0;
    if (via === 'socket') this.#socketFailures = 0;
    this.#token = hello.token;
    this.#setStatus({ state: 'open', via });
    if (asked !== undefined && !hello.reset) return;
    this.#seen.clear(); // it may be another log than the one before
    for (const listener of this.#resetListeners) listener();
  }

  #take(message: Message): void {
    if (message.type === 'changes') {
      const news = message.items.filter((c) => this.#isNew(c));
      if (news.length > 0) for (const listener of this.#changeListeners) listener(news);
    }
    this.#token = message.token;
  }

  #isNew(c: Change): boolean {
    const id = `${c.topic}\n${c.key}`;
    if (c.version <= (this.#seen.get(id) ?? 0)) return false;
    this.#seen.set(id, c.version);
    return true;
  }

  #noteFailure(via: Via): void {
    this.#failures++;
    this.#socketFailures = via === 'socket' ? this.#socketFailures + 1 : 0;
  }

  #wait(): void {
    const ceiling = Math.min(longestDelay, firstDelay * 2 ** Math.min(this.#failures, 10));
    const delay = Math.round(ceiling / 2 + (this.#random() * ceiling) / 2);
    this.#setStatus({ state: 'waiting', failures: this.#failures, retryAt: Date.now() + delay });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #setStatus(status: Status): void {
    this.#status = status;
    for (const listener of this.#statusListeners) listener();
  }
}

function subscribe<T>(set: Set<T>, listener: T): () => void {
  set.add(listener);
  return () => {
    set.delete(listener);
  };
}
