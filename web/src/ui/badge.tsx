import type { ReactNode } from 'react';
import styles from './badge.module.css';

export type Tone = 'plain' | 'info' | 'good' | 'warn' | 'bad';

interface Props {
  tone?: Tone;
  /** A ring in place of a dot: it is still on its way. */
  open?: boolean;
  /** Lights up for a moment: it has changed under the reader's eyes. */
  changed?: boolean;
  children: ReactNode;
}

/** A state in one or two words. The words say it; the colour only helps. */
export function Badge({ tone = 'plain', open = false, changed = false, children }: Props) {
  return (
    <span className={styles.badge} data-tone={tone} data-open={open || undefined} data-changed={changed || undefined}>
      <span className={styles.dot} aria-hidden="true" />
      {children}
    </span>
  );
}
