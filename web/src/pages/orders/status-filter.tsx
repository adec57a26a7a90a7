import type { Status } from '../../api/orders';
import { statuses } from '../../api/orders';
import { text } from '../../text';
import styles from './status-filter.module.css';

/** Which orders to show. */
export function StatusFilter({ value, onChange }: { value: Status | undefined; onChange: (value: Status | undefined) => void }) {
  return (
    <div className={styles.filter} role="group" aria-label={text.orders.filter}>
      {[undefined, ...statuses].map((s) => (
        <button key={s ?? 'all'} type="button" aria-pressed={s === value} onClick={() => onChange(s)}>
          {s ? text.status[s] : text.orders.all}
        </button>
      ))}
    </div>
  );
}
