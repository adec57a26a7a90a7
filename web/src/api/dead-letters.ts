import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { ApiError, api, ok } from './client';
import type { DeadLetterBody, RedriveBody, RedriveOutputBody } from './schema';

export const reasons = ['undecodable', 'unknown_version', 'failed', 'panicked', 'waits'] as const;
export type Reason = (typeof reasons)[number];

/** What is wrong with an event, by its published schema. */
export interface Problem {
  pointer: string;
  detail: string;
}

export type Letter = Omit<DeadLetterBody, 'reason'> & { reason: Reason; problems?: Problem[] | null };
export type Report = RedriveOutputBody;

export function deadLetters(reason: Reason | undefined) {
  return infiniteQueryOptions({
    queryKey: ['dead-letters', 'list', reason ?? 'all'],
    queryFn: async ({ pageParam: cursor, signal }) => {
      const page = await ok(api.GET('/api/dead-letters', { params: { query: { limit: 50, ...(reason && { reason }), ...(cursor && { cursor }) } }, signal }));
      return { ...page, items: page.items as Letter[] };
    },
    initialPageParam: '',
    getNextPageParam: ({ next_cursor: next }) => (next === '' ? undefined : next),
    refetchInterval: 5000,
  });
}

/** One letter, by its id, group/partition/offset. */
export function deadLetter(id: string) {
  const [group = ''] = id.split('/');
  return queryOptions({
    queryKey: ['dead-letters', 'one', id],
    queryFn: async ({ signal }): Promise<Letter> => {
      for (let cursor = ''; ; ) {
        const page = await ok(api.GET('/api/dead-letters', { params: { query: { limit: 200, group, ...(cursor && { cursor }) } }, signal }));
        const found = page.items.find((l) => l.id === id);
        if (found) return found as Letter;
        cursor = page.next_cursor ?? '';
        if (cursor === '') throw new ApiError(404, { code: 'dead_letter_not_found' });
      }
    },
  });
}

export function redrive(body: RedriveBody): Promise<Report> {
  return ok(api.POST('/api/dead-letters/redrive', { body }));
}
