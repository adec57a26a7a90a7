import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, Play } from 'lucide-react';
import { useId, useState } from 'react';
import { Link } from 'react-router';
import type { Parameter, Run, Scenario } from '../../api/scenarios';
import { run as runQuery, scenarios as scenariosQuery, startScenario } from '../../api/scenarios';
import { text } from '../../text';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import { Card } from '../../ui/card';
import { explain } from '../../ui/state';
import styles from './detail.module.css';
import { Promises } from './promises';
import { tones } from './scenario-list';
import { Steps } from './steps';

interface Props {
  scenario: Scenario;
  newest: Run | undefined;
  /** The run that goes on now, of whichever scenario. */
  going: Run | undefined;
  titles: Map<string, string>;
}

/** One scenario: what must happen, its button, and what happens. */
export function Detail({ scenario, newest, going, titles }: Props) {
  const queries = useQueryClient();
  const [values, setValues] = useState<Record<string, number>>(() => Object.fromEntries(scenario.parameters.map((p) => [p.name, p.default])));
  const play = useMutation({
    mutationFn: () => startScenario(scenario.name, values),
    onSuccess: (begun) => queries.setQueryData(runQuery(begun.id).queryKey, begun),
    onSettled: () => queries.invalidateQueries({ queryKey: scenariosQuery.queryKey, exact: true }),
  });
  const id = newest && (!play.data || newest.started_at >= play.data.started_at) ? newest.id : play.data?.id;
  const { data: watched } = useQuery({ ...runQuery(id ?? ''), enabled: id !== undefined });
  const run = watched ?? (newest?.id === id ? newest : undefined);

  const mine = run?.state === 'running';
  const does = mine || play.isPending ? text.scenarios.playing : run ? text.scenarios.again : text.scenarios.play;
  const other = going && going.scenario !== scenario.name ? going : undefined;
  return (
    <div className={styles.detail}>
      <Link to="/scenarios" className={styles.back}>
        <ChevronLeft size={16} aria-hidden="true" />
        {text.scenarios.back}
      </Link>
      <Card
        title={scenario.title}
        aside={
          <span className={styles.aside}>
            {run && (
              <Badge tone={tones[run.state]} open={mine}>
                {text.scenarios.runState[run.state]}
              </Badge>
            )}
            <Button look="primary" aria-label={text.scenarios.playLabel(does, scenario.title)} disabled={!scenario.available || mine || play.isPending || other !== undefined} onClick={() => play.mutate()}>
              <Play size={14} aria-hidden="true" />
              {does}
            </Button>
          </span>
        }
      >
        <div className={styles.body}>
          <p className={styles.about}>{scenario.about}</p>
          {!scenario.available && (
            <p className={styles.note} data-tone="warn">
              <strong>{text.scenarios.unavailable}:</strong> {scenario.unavailable}
            </p>
          )}
          {other && (
            <p className={styles.note} data-tone="info">
              {text.scenarios.busy(titles.get(other.scenario) ?? other.scenario)} <Link to={`/scenarios/${other.scenario}`}>{text.scenarios.watch}</Link>
            </p>
          )}
          {play.isError && (
            <p className={styles.note} data-tone="bad" role="alert">
              <strong>{text.scenarios.startFailed}</strong> {explain(play.error)}
            </p>
          )}
          {scenario.parameters.length > 0 && (
            <fieldset className={styles.parameters} disabled={mine || !scenario.available}>
              <legend className={styles.label}>{text.scenarios.parameters}</legend>
              {scenario.parameters.map((p) => (
                <Number key={p.name} parameter={p} value={values[p.name] ?? p.default} onChange={(v) => setValues({ ...values, [p.name]: v })} />
              ))}
            </fieldset>
          )}
          <h3 className={styles.label}>{text.scenarios.promises}</h3>
          <Promises promises={run?.promises ?? scenario.promises.map((words) => ({ text: words, verdict: 'open' as const }))} />
          <p className={styles.cli}>
            {text.scenarios.command}: <code>cartwheel scenario {scenario.name}</code>
          </p>
        </div>
      </Card>
      <Steps run={run} />
    </div>
  );
}

function Number({ parameter: p, value, onChange }: { parameter: Parameter; value: number; onChange: (value: number) => void }) {
  const id = useId();
  const [typed, setTyped] = useState(String(value));
  return (
    <span className={styles.parameter}>
      <input
        id={id}
        className={styles.number}
        type="number"
        inputMode="numeric"
        min={p.min}
        max={p.max}
        value={typed}
        aria-describedby={`${id}-range`}
        onChange={(event) => {
          setTyped(event.target.value);
          const n = event.target.valueAsNumber;
          if (!isNaN(n)) onChange(n);
        }}
      />
      <label htmlFor={id}>{p.title}</label>
      <span id={`${id}-range`} className={styles.range}>
        {text.scenarios.range(p.min, p.max)}
      </span>
    </span>
  );
}
