import type { Email } from '../../api/emails';
import { text } from '../../text';
import type { Tone } from '../../ui/badge';
import { Badge } from '../../ui/badge';

const t = text.mails;
const tones: Record<Email['state'], Tone> = { queued: 'plain', sending: 'info', sent: 'good', failed: 'bad' };

/** How a mail stands. One that was tried and waits is told from one that was not. */
export function StateBadge({ mail: { state, attempts } }: { mail: Email }) {
  if (state === 'queued' && attempts > 0) {
    return (
      <Badge tone="warn" open>
        {t.retrying}
      </Badge>
    );
  }
  return (
    <Badge tone={tones[state]} open={state === 'queued' || state === 'sending'}>
      {t.state[state]}
    </Badge>
  );
}
