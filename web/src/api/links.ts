import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';

/** Where the pages of other programs are. They do not move while the shop runs. */
export const links = queryOptions({
  queryKey: ['links'],
  queryFn: ({ signal }) => ok(api.GET('/api/links', { signal })),
  staleTime: Infinity,
});

/** A link with its place filled in; undefined where there is no such page. */
export function fill(link: string | undefined, place: 'order_id' | 'message_id', value: string): string | undefined {
  return link ? link.replace(`{${place}}`, encodeURIComponent(value)) : undefined;
}
