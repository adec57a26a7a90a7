import { useState } from 'react';
import type { Status } from '../api/orders';
import { text } from '../text';
import type { Tone } from './badge';
import { Badge } from './badge';

const tones: Record<Status, Tone> = {
  pending: 'plain',
  awaiting_approval: 'warn',
  confirmed: 'info',
  shipped: 'info',
  completed: 'good',
  cancelled: 'plain',
  rejected: 'bad',
};

/** An order's status. It lights up for a moment when it changes under the reader's eyes. */
export function StatusBadge({ status }: { status: Status }) {
  const [first] = useState(status);
  return (
    <Badge key={status} tone={tones[status]} open={status === 'pending' || status === 'confirmed'} changed={status !== first}>
      {text.status[status]}
    </Badge>
  );
}
