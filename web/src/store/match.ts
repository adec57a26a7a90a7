import type { Product } from '../api/products';

/** Whether every word that is looked for begins a word of the product's name or SKU, whatever the case and the accents. */
export function matches(product: Pick<Product, 'name' | 'sku'>, wanted: string): boolean {
  const words = plain(`${product.name} ${product.sku}`).split(/[^\p{L}\p{N}]+/u);
  return plain(wanted)
    .split(/[^\p{L}\p{N}]+/u)
    .every((w) => words.some((word) => word.startsWith(w)));
}

function plain(s: string): string {
  return s.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}
