import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import type { Check } from './schema';

export type { Invariant } from './schema';

const every = 3;

/** The invariants, again and again for as long as somebody looks. Who looks at the same time shares a reading. */
export const check = queryOptions({
  queryKey: ['check'],
  queryFn: ({ signal }) => ok(api.GET('/api/check', { params: { query: { max_age: every } }, signal })),
  refetchInterval: every * 1000,
});

/** The invariants as they are now, and not a moment before. */
export function checkNow(): Promise<Check> {
  return ok(api.GET('/api/check'));
}
