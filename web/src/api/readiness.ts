import { queryOptions } from '@tanstack/react-query';
import { Unreachable, answered, api } from './client';
import type { Readiness } from './schema';

export type { Missing } from './schema';

/** What /readyz says: 503 is an answer here, not a failure. */
export const readiness = queryOptions({
  queryKey: ['readiness'],
  queryFn: async ({ signal }): Promise<Readiness> => {
    const { data, error, response } = await answered(api.GET('/readyz', { signal }));
    const body: unknown = data ?? error;
    if (!isReadiness(body)) throw new Unreachable(`/readyz answers ${response.status}`);
    return body;
  },
  retry: false,
  refetchInterval: ({ state }) => (state.status === 'success' && state.data?.ready ? 15_000 : 2_000),
});

/** Something between us and the server may answer in its place. */
function isReadiness(body: unknown): body is Readiness {
  return typeof body === 'object' && body !== null && 'ready' in body && 'missing' in body && Array.isArray(body.missing);
}
