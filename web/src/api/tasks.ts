import { infiniteQueryOptions } from '@tanstack/react-query';
import { api, ok } from './client';
import type { Task } from './schema';

export type { Task } from './schema';

/** What waits for a person; all that ever did when `open` is false. */
export function tasks(open: boolean) {
  return infiniteQueryOptions({
    queryKey: ['tasks', open ? 'open' : 'all'],
    queryFn: async ({ pageParam: cursor, signal }) => {
      const page = await ok(api.GET('/api/tasks', { params: { query: { limit: 100, ...(cursor && { cursor }) } }, signal }));
      return open ? { ...page, items: page.items.filter((t) => t.state !== 'done') } : page;
    },
    initialPageParam: '',
    getNextPageParam: ({ next_cursor: next }) => (next === '' ? undefined : next),
    refetchInterval: 5000,
  });
}

export function retryTask(id: string): Promise<Task> {
  return ok(api.POST('/api/tasks/{id}/retry', { params: { path: { id } } }));
}

export function closeTask(id: string): Promise<Task> {
  return ok(api.POST('/api/tasks/{id}/done', { params: { path: { id } } }));
}
