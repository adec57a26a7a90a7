import { Link } from 'react-router';
import type { Run } from '../../api/scenarios';
import { formatOffset } from '../../format/time';
import { text } from '../../text';
import { Card } from '../../ui/card';
import { When } from '../../ui/time';
import { tones } from './scenario-list';
import styles from './steps.module.css';

/** What happened in a run so far, as it happens. */
export function Steps({ run }: { run: Run | undefined }) {
  if (!run) {
    return (
      <Card title={text.scenarios.steps}>
        <p className={styles.nothing}>{text.scenarios.noSteps}</p>
      </Card>
    );
  }
  const { progress } = run;
  const several = run.orders.length > 1;
  return (
    <Card title={text.scenarios.steps} aside={<span className={styles.when}><When at={run.started_at} /></span>}>
      <ol className={styles.steps}>
        {run.steps.map((s, i) => (
          <li key={i} className={styles.step} data-kind={s.kind}>
            <span className={styles.at}>{formatOffset(run.started_at, s.at)}</span>
            <span className={styles.dot} role="img" aria-label={s.kind === 'did' ? text.scenarios.did : text.scenarios.saw} />
            <span className={styles.words}>
              {s.text}
              {s.order_id && (s.kind === 'did' || several) && (
                <Link className={styles.order} to={`/orders/${s.order_id}`}>
                  {text.scenarios.order} …{s.order_id.slice(-6)}
                </Link>
              )}
            </span>
          </li>
        ))}
        {run.steps.some((s) => s.text.startsWith('dead letter ')) && (
          <li className={styles.step}>
            <span />
            <span />
            <Link to="/dead-letters">{text.scenarios.letters}</Link>
          </li>
        )}
      </ol>
      {progress && (
        <div className={styles.progress}>
          <progress value={progress.done} max={progress.total} aria-label={progress.label} />
          <span>{text.scenarios.progress(progress.label, progress.done, progress.total)}</span>
        </div>
      )}
      <p className={styles.result} data-tone={tones[run.state]} data-running={run.state === 'running' || undefined} role="status" data-run={run.id}>
        {run.ended_at ? text.scenarios.result(run.state, formatOffset(run.started_at, run.ended_at).replace('+', '')) : text.scenarios.playing} {run.error && <span>{run.error}</span>}
      </p>
    </Card>
  );
}
