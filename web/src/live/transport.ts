// The two ways to the server's push: a WebSocket, and server-sent events where
// something on the way does not let WebSockets through.
import { SseParser } from './sse';

export interface Opening {
  topics: readonly string[];
  /** Go on after this token; undefined starts with the present. */
  token: string | undefined;
}

export interface Listener {
  message: (raw: string) => void;
  /** Called once, when there is nothing more to come; not after the returned function was called. */
  closed: () => void;
}

/** Opens a connection and returns the function that ends it. */
export type Transport = (opening: Opening, on: Listener) => () => void;

export const socket: Transport = ({ topics, token }, on) => {
  const query = new URLSearchParams({ topics: topics.join(',') });
  if (token !== undefined) query.set('resume', token);
  const ws = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/ws?${query}`);
  let ended = false;
  ws.onmessage = (event: MessageEvent<unknown>) => {
    if (!ended && typeof event.data === 'string') on.message(event.data);
  };
  // A failed opening is an error followed by a close: the close is enough.
  ws.onclose = () => {
    if (!ended) on.closed();
    ended = true;
  };
  return () => {
    ended = true;
    ws.close();
  };
};

/**
 * Server-sent events over fetch: EventSource cannot say Last-Event-ID on its
 * first request, and keeps its own counsel about when to come back.
 */
export const stream: Transport = ({ topics, token }, on) => {
  const abort = new AbortController();
  void read(abort.signal)
    .catch(() => undefined) // whatever it was, the connection is over
    .then(() => {
      if (!abort.signal.aborted) on.closed();
    });
  return () => abort.abort();

  async function read(signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (token !== undefined) headers['Last-Event-ID'] = token;
    const response = await fetch(`/api/sse?${new URLSearchParams({ topics: topics.join(',') })}`, { headers, signal, cache: 'no-store' });
    if (!response.ok || !response.body) return;
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const data of parser.push(decoder.decode(value, { stream: true }))) {
        if (signal.aborted) return;
        on.message(data);
      }
    }
  }
};
