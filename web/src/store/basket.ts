import { useSyncExternalStore } from 'react';

/** SKUs and how many of each, in the order they were put in. Prices and names come from the catalogue when it is shown. */
export type Lines = readonly { readonly sku: string; readonly quantity: number }[];

/** What the API takes in one line, and in one order. */
export const maxQuantity = 10_000;
export const maxLines = 100;

const key = 'cartwheel.basket';

/**
 * The basket of this browser. It is kept in the browser's storage, so that it
 * survives a reload, and every tab shows the same one.
 */
class Basket {
  readonly #listeners = new Set<() => void>();
  #lines: Lines = read();

  constructor() {
    window.addEventListener('storage', (event) => {
      if (event.key !== key && event.key !== null) return;
      this.#lines = read();
      this.#tell();
    });
  }

  get lines(): Lines {
    return this.#lines;
  }

  /** Sets how many of a SKU there are; 0 takes it out. */
  set(sku: string, quantity: number): void {
    const wanted = Math.min(Math.max(0, Math.trunc(quantity)), maxQuantity);
    const known = this.#lines.some((l) => l.sku === sku);
    const all = known ? this.#lines.map((l) => (l.sku === sku ? { sku, quantity: wanted } : l)) : [...this.#lines, { sku, quantity: wanted }];
    this.#store(all.filter((l) => l.quantity > 0));
  }

  add(sku: string, quantity = 1): void {
    this.set(sku, (this.#lines.find((l) => l.sku === sku)?.quantity ?? 0) + quantity);
  }

  clear(): void {
    this.#store([]);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #store(lines: Lines): void {
    this.#lines = lines;
    try {
      localStorage.setItem(key, JSON.stringify(lines));
    } catch {
      // no storage, or none left: the basket lasts as long as the page
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** What is stored, or nothing where it is not what we wrote. */
function read(): Lines {
  let stored: unknown;
  try {
    stored = JSON.parse(localStorage.getItem(key) ?? '[]');
  } catch {
    return [];
  }
  return Array.isArray(stored) ? stored.filter(isLine).map(({ sku, quantity }) => ({ sku, quantity })) : [];
}

function isLine(value: unknown): value is Lines[number] {
  if (typeof value !== 'object' || value === null) return false;
  const { sku, quantity } = value as Record<string, unknown>;
  return typeof sku === 'string' && typeof quantity === 'number' && Number.isInteger(quantity) && quantity > 0 && quantity <= maxQuantity;
}

export const basket = new Basket();

export function useBasket(): { lines: Lines; units: number } {
  const lines = useSyncExternalStore(basket.subscribe, () => basket.lines);
  return { lines, units: lines.reduce((n, l) => n + l.quantity, 0) };
}
