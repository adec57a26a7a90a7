import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from 'react-router';
import { ApiError } from '../../api/client';
import type { Run, Scenario } from '../../api/scenarios';
import { scenarios as scenariosQuery } from '../../api/scenarios';
import { useFailure } from '../../api/use-failure';
import { text } from '../../text';
import { PageHeader } from '../../ui/page-header';
import { Skeleton } from '../../ui/skeleton';
import { Empty, Failed } from '../../ui/state';
import { Detail } from './detail';
import { ScenarioList } from './scenario-list';
import styles from './scenarios-page.module.css';

/** /scenarios and /scenarios/{name}: what the shop is shown to do right; a list, and the one that is chosen. */
export function ScenariosPage() {
  const { name } = useParams();
  const query = useQuery(scenariosQuery);
  const failure = useFailure(query);
  const { title, lead } = text.scenarios;
  if (query.data) {
    const { items, runs } = query.data;
    const newest = newestByName(runs);
    const chosen = name === undefined ? items[0] : items.find((s) => s.name === name);
    return (
      <>
        <PageHeader title={title} lead={lead} aside={<span className={styles.summary}>{summary(items, newest)}</span>} tab={name === undefined ? title : (chosen?.title ?? title)} />
        <div className={styles.panes} data-chosen={name !== undefined || undefined}>
          <ScenarioList scenarios={items} newest={newest} chosen={chosen?.name} />
          {chosen ? (
            <Detail key={chosen.name} scenario={chosen} newest={newest.get(chosen.name)} going={runs[0]?.state === 'running' ? runs[0] : undefined} titles={titlesOf(items)} />
          ) : (
            <Empty title={text.scenarios.unknown(name ?? '')}>
              <Link to="/scenarios">{text.scenarios.toList}</Link>
            </Empty>
          )}
        </div>
      </>
    );
  }
  return (
    <>
      <PageHeader title={title} lead={lead} />
      {failure ? <NoScenarios error={failure} retry={() => void query.refetch()} /> : <Loading />}
    </>
  );
}

function NoScenarios({ error, retry }: { error: unknown; retry: () => void }) {
  if (!(error instanceof ApiError && error.code === 'scenarios_off')) return <Failed title={text.scenarios.failed} error={error} retry={retry} />;
  return (
    <Empty title={text.scenarios.off}>
      <p>{text.scenarios.offHint}</p>
      <code className={styles.command}>{text.scenarios.offCommand}</code>
    </Empty>
  );
}

function Loading() {
  return (
    <div role="group" className={styles.panes} aria-busy="true" aria-label={text.scenarios.loading}>
      <div className={styles.loading}>
        {Array.from({ length: 10 }, (_, i) => (
          <Skeleton key={i} width={`${90 - ((i * 23) % 40)}%`} />
        ))}
      </div>
    </div>
  );
}

/** The newest run of each scenario; runs come newest first. */
function newestByName(runs: readonly Run[]): Map<string, Run> {
  return new Map([...runs].reverse().map((r) => [r.scenario, r]));
}

function titlesOf(items: readonly Scenario[]): Map<string, string> {
  return new Map(items.map((s) => [s.name, s.title]));
}

function summary(items: readonly Scenario[], newest: Map<string, Run>): string {
  const played = [...newest.values()].filter((r) => r.state !== 'running');
  return text.scenarios.summary(played.filter((r) => r.state === 'kept').length, played.length, items.length);
}
