import { queryOptions } from '@tanstack/react-query';
import { Unreachable, json, send } from './client';

/** Something that an order needs and that is not there. */
export interface Missing {
  name: string;
  state?: string;
  detail?: string;
}

export interface Readiness {
  ready: boolean;
  missing: Missing[];
}

/** What /readyz says: 503 is an answer here, not a failure. */
export const readiness = queryOptions({
  queryKey: ['readiness'],
  queryFn: async ({ signal }): Promise<Readiness> => {
    const response = await send('/readyz', { signal });
    const body = (await json(response)) as Partial<Readiness> | undefined;
    if (typeof body?.ready !== 'boolean') throw new Unreachable(`/readyz answers ${response.status}`);
    return { ready: body.ready, missing: body.missing ?? [] };
  },
  retry: false,
  refetchInterval: ({ state }) => (state.status === 'success' && state.data?.ready ? 15_000 : 2_000),
});
