import type { Problem } from '../../api/dead-letters';
import styles from './dead-letters.module.css';
import { jsonLines, marks } from './payload';

/** JSON with what is wrong in it marked at its place. */
export function Marked({ value, problems, label }: { value: unknown; problems: readonly Problem[]; label: string }) {
  const lines = jsonLines(value);
  const wrong = marks(lines, problems);
  return (
    <pre className={styles.marked} tabIndex={0} role="region" aria-label={label} dir="ltr">
      {lines.map((line, i) => {
        const why = wrong.get(i);
        return (
          <span key={i} className={styles.line} data-wrong={why !== undefined || undefined}>
            {line.text}
            {why && <span className={styles.why}>← {why.join('; ')}</span>}
            {'\n'}
          </span>
        );
      })}
    </pre>
  );
}
