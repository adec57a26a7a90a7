import { formatAgo, formatMoment, formatWhen } from '../format/time';
import { useNow } from './now';

/** How long ago something was. */
export function Ago({ at }: { at: string }) {
  return (
    <time dateTime={at} title={formatMoment(at)}>
      {formatAgo(at, useNow())}
    </time>
  );
}

/** When something was: the time for today, the day for the past. */
export function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={formatMoment(at)}>
      {formatWhen(at, useNow())}
    </time>
  );
}
