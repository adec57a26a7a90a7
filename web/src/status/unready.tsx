import { useQuery } from '@tanstack/react-query';
import type { Missing } from '../api/readiness';
import { readiness } from '../api/readiness';
import { text } from '../text';
import { Banner } from '../ui/banner';

/** Parts that an order may wait for after it was accepted. */
const late = new Set(['temporal', 'payment', 'provider', 'courier', 'notification', 'analytics', 'redis', 'smtp']);

/** Says what the shop still lacks, as /readyz lists it. */
export function Unready() {
  const { data, isError } = useQuery(readiness);
  if (!data || data.ready || isError) return null;
  const { missing } = data;
  const progress = missing.map(progressOf).find((p) => p !== undefined);
  if (missing.length === 0) return <Banner tone="info" title={text.unready.starting} />;
  const wait = missing.every((m) => late.has(m.name)) && text.unready.ordersWait;
  const [first] = missing;
  return (
    <Banner tone="info" title={first && missing.length === 1 ? sentence(first) : text.unready.starting} progress={progress}>
      {missing.length > 1 && (
        <ul aria-label={text.unready.label}>
          {missing.map((m) => (
            <li key={m.name}>{sentence(m)}</li>
          ))}
        </ul>
      )}
      {wait}
    </Banner>
  );
}

function sentence({ name, state, detail }: Missing): string {
  return text.unready.part(name, state, detail);
}

/** The share in "412 of 1780 packages". */
export function progressOf({ detail }: Missing): number | undefined {
  const match = /(\d+) of (\d+)/.exec(detail ?? '');
  if (!match) return undefined;
  const [done, all] = [Number(match[1]), Number(match[2])];
  return all > 0 && done <= all ? done / all : undefined;
}
