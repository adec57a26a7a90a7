import { queryOptions } from '@tanstack/react-query';
import { api, ok } from './client';

export type { Group, JobQueue, Stream, TaskQueue, Topic } from './schema';

export const brokers = queryOptions({
  queryKey: ['brokers'],
  queryFn: ({ signal }) => ok(api.GET('/api/brokers', { signal })),
  refetchInterval: 3000,
});
