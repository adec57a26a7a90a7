import { useState } from 'react';

interface Asked {
  data: unknown;
  error: unknown;
  errorUpdateCount: number;
}

/**
 * What kept a query from its first data. It stays while the query is asked again,
 * so that the page does not go back and forth between an error and its skeleton.
 */
export function useFailure({ data, error, errorUpdateCount }: Asked): unknown {
  const [last, setLast] = useState(error);
  if (error && error !== last) setLast(error);
  return data === undefined && errorUpdateCount > 0 ? (error ?? last) : undefined;
}
