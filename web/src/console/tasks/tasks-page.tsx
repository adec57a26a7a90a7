import { useInfiniteQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import { tasks as tasksQuery } from '../../api/tasks';
import { useFailure } from '../../api/use-failure';
import { text } from '../../text';
import { Button } from '../../ui/button';
import { PageHeader } from '../../ui/page-header';
import { Segments } from '../../ui/segments';
import { Skeleton } from '../../ui/skeleton';
import { Empty, Failed } from '../../ui/state';
import { TaskCard } from './task-card';
import styles from './tasks-page.module.css';

const t = text.tasks;
const filters = [
  { value: 'open', label: t.filters.open },
  { value: 'all', label: t.filters.all },
] as const;

/** /tasks: what waits for a person. */
export function TasksPage() {
  const [params, setParams] = useSearchParams();
  const all = params.get('state') === 'all';
  return (
    <>
      <PageHeader
        title={t.title}
        lead={t.lead}
        actions={<Segments label={t.filter} value={all ? 'all' : 'open'} options={filters} onChange={(v) => setParams(v === 'all' ? { state: v } : {})} />}
      />
      <List key={String(all)} open={!all} />
    </>
  );
}

function List({ open }: { open: boolean }) {
  const query = useInfiniteQuery(tasksQuery(open));
  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  if (!query.data) {
    return (
      <div role="group" className={styles.loading} aria-busy="true" aria-label={t.loading}>
        <Skeleton width="60%" />
        <Skeleton width="80%" />
      </div>
    );
  }
  const items = query.data.pages.flatMap((p) => p.items);
  if (items.length === 0 && !query.hasNextPage) return <Empty title={open ? t.empty : t.emptyAll}>{open && <p>{t.emptyHint}</p>}</Empty>;
  return (
    <>
      <ul className={styles.list}>
        {items.map((task) => (
          <TaskCard key={task.id} task={task} />
        ))}
      </ul>
      {query.hasNextPage && (
        <div className={styles.foot}>
          <Button disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? text.deadLetters.moreLoading : text.deadLetters.more}
          </Button>
        </div>
      )}
    </>
  );
}
