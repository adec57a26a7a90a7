import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import type { ProductBody } from './schema';

export type Product = ProductBody;

export const storages = ['ambient', 'chilled', 'frozen'] as const satisfies readonly Product['storage'][];

/** The whole catalogue, page by page: a shop of this size is shown at once, and searched here. */
export const catalogue = queryOptions({
  queryKey: ['products', 'all'],
  queryFn: async ({ signal }): Promise<readonly Product[]> => {
    const all: Product[] = [];
    let cursor: string | undefined;
    do {
      const page = await ok(api.GET('/api/products', { params: { query: { limit: 200, ...(cursor && { cursor }) } }, signal }));
      all.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor);
    return all;
  },
});

/** Names by SKU, for pages that know a product by its SKU alone; a page without them still works. */
export const productNames = queryOptions({ ...catalogue, select: namesOf, staleTime: 60 * 60 * 1000 });

function namesOf(products: readonly Product[]): ReadonlyMap<string, string> {
  return new Map(products.map((p) => [p.sku, p.name]));
}
