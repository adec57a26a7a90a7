import { useLiveStatus } from '../live/context';
import { text } from '../text';
import styles from './live-indicator.module.css';

/** Whether the page shows the present. */
export function LiveIndicator() {
  const status = useLiveStatus();
  switch (status.state) {
    case 'idle':
      return null;
    case 'open':
      return <Indicator tone="open" label={text.live.open} hint={text.live.openHint[status.via]} />;
    default:
      return status.failures === 0 ? <Indicator tone="connecting" label={text.live.connecting} /> : <Indicator tone="interrupted" label={text.live.interrupted} />;
  }
}

function Indicator({ tone, label, hint }: { tone: 'open' | 'connecting' | 'interrupted'; label: string; hint?: string }) {
  return (
    <span className={styles.indicator} data-tone={tone} data-testid="live" title={hint}>
      <span className={styles.dot} aria-hidden="true" />
      {label}
    </span>
  );
}
