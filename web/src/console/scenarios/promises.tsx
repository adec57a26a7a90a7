import { Circle, CircleCheck, CircleX } from 'lucide-react';
import type { Promised } from '../../api/scenarios';
import { text } from '../../text';
import styles from './promises.module.css';

const icons = { open: Circle, holds: CircleCheck, fails: CircleX };
const tones = { open: 'plain', holds: 'good', fails: 'bad' };

/** What must happen, and whether it did. */
export function Promises({ promises }: { promises: readonly Promised[] }) {
  return (
    <ul className={styles.list}>
      {promises.map((p) => {
        const Icon = icons[p.verdict];
        return (
          <li key={p.text} className={styles.promise} data-tone={tones[p.verdict]}>
            <Icon className={styles.icon} size={16} role="img" aria-label={text.scenarios.verdict[p.verdict]} />
            <span className={styles.words}>
              {p.text}
              {p.detail && <span className={styles.detail}>{p.detail}</span>}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
