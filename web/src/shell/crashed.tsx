import { isRouteErrorResponse, useRouteError } from 'react-router';
import { text } from '../text';
import { Button } from '../ui/button';
import { Unknown } from '../ui/state';

/** Stands in for a page that threw, so that the rest of the shell stays usable. */
export function Crashed() {
  const error = useRouteError();
  return (
    <Unknown title={text.errors.crashed}>
      <p>{text.errors.crashedHint}</p>
      <code>{describe(error)}</code>
      <Button onClick={() => location.reload()}>{text.errors.reload}</Button>
    </Unknown>
  );
}

function describe(error: unknown): string {
  if (isRouteErrorResponse(error)) return `${error.status} ${error.statusText}`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
