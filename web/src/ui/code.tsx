import { text } from '../text';
import styles from './code.module.css';
import { CopyButton } from './copy-button';

/** Raw data as it is, to read and to copy: a value as JSON, a string as itself. */
export function Code({ value, label }: { value: unknown; label?: string }) {
  const raw = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return (
    <div className={styles.code}>
      <CopyButton value={raw} label={text.code.copy} done={text.code.copied} />
      {/* Focusable, because a wide one scrolls. */}
      <pre tabIndex={0} aria-label={label ?? text.code.label} role="region">
        {raw}
      </pre>
    </div>
  );
}
