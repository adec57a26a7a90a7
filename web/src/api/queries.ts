import type { Query } from '@tanstack/react-query';
import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './client';

/** How soon what could not be read, three times in a row, is asked for again. */
const again = 3_000;

export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // The shop often runs on this very machine: being offline says nothing about it.
        networkMode: 'always',
        retry: (failures, error) => failures < 2 && !isRefusal(error),
        retryDelay: (failures) => 300 * 2 ** failures,
        refetchInterval: untilAnswered,
        // The push says when something has changed; a window that gets the focus does not.
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
      },
      mutations: { networkMode: 'always' },
    },
  });
}

/**
 * The interval of a query whose answer changes only when the push says so: none,
 * but while there is no answer. A query with an interval function of its own
 * begins it with this one, or a first fetch that failed would be its last.
 */
export function untilAnswered<T, K extends readonly unknown[]>({ state }: Query<T, Error, T, K>): number | false {
  return state.status === 'error' && !isRefusal(state.error) ? again : false;
}

/** The server has answered, and would answer the same again. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.status < 500;
}
