import { useSyncExternalStore } from 'react';

export interface Placed {
  readonly id: string;
  readonly at: string;
}

const key = 'cartwheel.orders';
const kept = 30;

let orders = read();
const listeners = new Set<() => void>();

/** Remembers an order that was placed from this browser: the shop has no accounts. */
export function remember(id: string): void {
  orders = [{ id, at: new Date().toISOString() }, ...orders.filter((o) => o.id !== id)].slice(0, kept);
  try {
    localStorage.setItem(key, JSON.stringify(orders));
  } catch {
    // no storage: remembered as long as the page
  }
  for (const listener of listeners) listener();
}

/** The orders that were placed from this browser, newest first. */
export function useMyOrders(): readonly Placed[] {
  return useSyncExternalStore(subscribe, () => orders);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function read(): readonly Placed[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(stored) ? stored.filter(isPlaced) : [];
  } catch {
    return [];
  }
}

function isPlaced(value: unknown): value is Placed {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string' && 'at' in value && typeof value.at === 'string';
}
