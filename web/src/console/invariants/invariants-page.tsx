import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { CircleCheck, CircleX } from 'lucide-react';
import type { Invariant } from '../../api/check';
import { checkNow, check as checkQuery } from '../../api/check';
import { useFailure } from '../../api/use-failure';
import { locale, text } from '../../text';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import { PageHeader } from '../../ui/page-header';
import { Skeleton } from '../../ui/skeleton';
import { Failed } from '../../ui/state';
import { Ago } from '../../ui/time';
import styles from './invariants-page.module.css';

/** /invariants: what must hold at every moment, checked again and again. */
export function InvariantsPage() {
  const queries = useQueryClient();
  const query = useQuery(checkQuery);
  const now = useMutation({ mutationFn: checkNow, onSuccess: (fresh) => queries.setQueryData(checkQuery.queryKey, fresh) });
  const { data } = query;
  const failure = useFailure(query);
  if (failure) return <Failed title={text.invariants.failed} error={failure} retry={() => void query.refetch()} />;
  const broken = data?.items.filter((i) => !i.holds).length ?? 0;
  return (
    <>
      <PageHeader
        title={text.invariants.title}
        lead={text.invariants.lead}
        aside={
          <span role="status">
            {data ? (
              <Badge tone={broken === 0 ? 'good' : 'bad'}>{broken === 0 ? text.invariants.all(data.items.length) : text.invariants.broken(broken, data.items.length)}</Badge>
            ) : (
              <Skeleton width="5rem" />
            )}
          </span>
        }
        actions={
          <>
            <span className={styles.age}>
              {data ? (
                <>
                  {text.invariants.checked} <Ago at={data.checked_at} />
                  {text.invariants.took(data.took_ms)}
                </>
              ) : (
                <Skeleton width="12rem" />
              )}
            </span>
            <Button onClick={() => now.mutate()} disabled={now.isPending}>
              {now.isPending ? text.invariants.checking : text.invariants.now}
            </Button>
          </>
        }
      />
      {data && (query.isError || now.isError) && (
        <p role="alert" className={styles.stale}>
          {text.invariants.stale}
        </p>
      )}
      <ul className={styles.list} aria-busy={!data} aria-label={data ? text.invariants.title : text.invariants.loading}>
        {data ? data.items.map((i) => <Row key={i.name} invariant={i} />) : placeholders}
      </ul>
    </>
  );
}

const most = 20;

function Row({ invariant: i }: { invariant: Invariant }) {
  const Icon = i.holds ? CircleCheck : CircleX;
  const figures = Object.entries(i.figures).sort(([a], [b]) => a.localeCompare(b));
  return (
    <li className={styles.row} data-tone={i.holds ? 'good' : 'bad'} data-testid="invariant" data-holds={i.holds}>
      <Icon className={styles.icon} size={20} role="img" aria-label={i.holds ? text.invariants.holds : text.invariants.fails} />
      <div className={styles.words}>
        <h2 className={styles.name}>{i.name.charAt(0).toUpperCase() + i.name.slice(1)}</h2>
        <p className={styles.explain}>{text.invariants.explain(i.name)}</p>
        {i.offenders.length > 0 && (
          <ul className={styles.offenders} aria-label={text.invariants.offenders}>
            {i.offenders.slice(0, most).map((o) => (
              <li key={o}>{o}</li>
            ))}
            {i.offenders.length > most && <li>{text.invariants.more(i.offenders.length - most)}</li>}
          </ul>
        )}
        {figures.length > 0 && (
          <details className={styles.figures}>
            <summary>{text.invariants.figures}</summary>
            <dl>
              {figures.map(([name, value]) => (
                <div key={name}>
                  <dt>{name.replace('.', ': ').replaceAll('_', ' ')}</dt>
                  <dd>{value.toLocaleString(locale)}</dd>
                </div>
              ))}
            </dl>
          </details>
        )}
      </div>
    </li>
  );
}

const placeholders = Array.from({ length: 6 }, (_, i) => (
  <li key={i} className={styles.row}>
    <Skeleton width="1.25rem" />
    <div className={styles.words}>
      <Skeleton width={`${10 + ((i * 5) % 7)}rem`} />
      <Skeleton width="80%" />
    </div>
  </li>
));
