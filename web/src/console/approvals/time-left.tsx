import { formatLeft, formatMoment } from '../../format/time';
import { text } from '../../text';
import { useNow } from '../../ui/now';
import styles from './approvals-page.module.css';

const t = text.approvals;
const urgent = 0.2;

/** How much is left of the time from one moment until another. */
export function TimeLeft({ from, until }: { from: string; until: string }) {
  const now = useNow();
  const whole = Date.parse(until) - Date.parse(from);
  const share = whole > 0 ? Math.min(1, Math.max(0, (Date.parse(until) - now) / whole)) : 0;
  const left = formatLeft(until, now);
  const tone = left === '' ? 'bad' : share < urgent ? 'warn' : 'info';
  return (
    <div className={styles.left} data-tone={tone}>
      {left === '' ? (
        <p>
          <strong>{t.over}</strong> {t.overHint}
        </p>
      ) : (
        <p>
          <time dateTime={until} title={formatMoment(until)}>
            {left}
          </time>{' '}
          {t.left}
        </p>
      )}
      <progress className={styles.bar} value={share} max={1} aria-label={t.leftOf} />
    </div>
  );
}
