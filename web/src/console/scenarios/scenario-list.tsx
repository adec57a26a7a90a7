import { NavLink } from 'react-router';
import type { Run, RunState, Scenario } from '../../api/scenarios';
import { text } from '../../text';
import type { Tone } from '../../ui/badge';
import { Badge } from '../../ui/badge';
import styles from './scenario-list.module.css';

export const tones: Record<RunState, Tone> = { running: 'info', kept: 'good', broken: 'bad', failed: 'warn' };

/** All scenarios, each with how it went last. */
export function ScenarioList({ scenarios, newest, chosen }: { scenarios: readonly Scenario[]; newest: Map<string, Run>; chosen: string | undefined }) {
  return (
    <nav className={styles.frame} aria-label={text.scenarios.list}>
      <ul className={styles.list}>
        {scenarios.map((s) => {
          const run = newest.get(s.name);
          return (
            <li key={s.name}>
              <NavLink to={`/scenarios/${s.name}`} className={styles.entry ?? ''} data-chosen={s.name === chosen || undefined} aria-current={s.name === chosen ? 'page' : undefined}>
                <span className={styles.title}>{s.title}</span>
                {run ? (
                  <Badge tone={tones[run.state]} open={run.state === 'running'}>
                    {text.scenarios.runState[run.state]}
                  </Badge>
                ) : (
                  !s.available && <span className={styles.unavailable}>{text.scenarios.unavailable}</span>
                )}
              </NavLink>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}
