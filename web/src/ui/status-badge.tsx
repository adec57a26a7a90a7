import { useState } from 'react';
import type { Status } from '../api/orders';
import { text } from '../text';
import styles from './status-badge.module.css';

/** An order's status. It lights up for a moment when it changes under the reader's eyes. */
export function StatusBadge({ status }: { status: Status }) {
  const [first] = useState(status);
  return (
    <span key={status} className={styles.badge} data-status={status} data-changed={status !== first || undefined}>
      <span className={styles.dot} aria-hidden="true" />
      {text.status[status]}
    </span>
  );
}
