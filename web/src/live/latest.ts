/** A map that keeps what was set last, up to a size: the page may stay open for weeks. */
export class Latest<K, V> {
  readonly #size: number;
  readonly #map = new Map<K, V>();

  constructor(size: number) {
    this.#size = size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  set(key: K, value: V): void {
    this.#map.delete(key); // a Map is in order of first insertion
    this.#map.set(key, value);
    if (this.#map.size <= this.#size) return;
    for (const oldest of this.#map.keys()) {
      this.#map.delete(oldest);
      return;
    }
  }

  clear(): void {
    this.#map.clear();
  }
}
