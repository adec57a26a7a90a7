import { useQuery } from '@tanstack/react-query';
import { readiness } from '../api/readiness';
import { useLiveClient, useLiveStatus } from '../live/context';
import { text } from '../text';
import { Banner } from '../ui/banner';
import { useNow } from '../ui/now';

/**
 * Says that the page has lost the server, or only its push, and when it tries
 * again. A single short break, as at a restart of the push alone, is not worth a word.
 */
export function ServerAway() {
  const status = useLiveStatus();
  const client = useLiveClient();
  const { isError: away } = useQuery(readiness);
  if ((status.state !== 'waiting' && status.state !== 'connecting') || status.failures === 0) return null;
  return (
    <Banner tone="warn" title={away ? text.away.server : text.away.push} action={{ label: text.away.retry, run: () => client.retryNow() }}>
      {text.away.kept}{' '}
      {/* Not for screen readers: the banner is a live region, and would count aloud. */}
      <span aria-hidden="true">{status.state === 'waiting' ? <Countdown to={status.retryAt} /> : text.away.trying}</span>
    </Banner>
  );
}

function Countdown({ to }: { to: number }) {
  const now = useNow();
  return text.away.retryIn(Math.max(1, Math.ceil((to - now) / 1000)));
}
