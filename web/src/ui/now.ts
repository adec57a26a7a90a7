import { useSyncExternalStore } from 'react';

// One clock for the page: everything that says how long ago something was moves
// in the same second, on one timer, which stands still while nobody looks.
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(tick, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}

function read(): number {
  if (timer === undefined) now = Date.now();
  return now;
}

/** The present in milliseconds, each second anew. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, read);
}
