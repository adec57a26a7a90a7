import type { ReactNode } from 'react';
import { useState } from 'react';
import { text } from '../text';
import styles from './as-table.module.css';

/** What a chart shows, in figures: at the foot of its card, once it is asked for. */
export function AsTable({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <details className={styles.table} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{text.chart.table}</summary>
      {open && children}
    </details>
  );
}
