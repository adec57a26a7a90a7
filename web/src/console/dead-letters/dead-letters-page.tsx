import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import type { Letter, Reason } from '../../api/dead-letters';
import { deadLetters as deadLettersQuery, reasons } from '../../api/dead-letters';
import type { RedriveBody } from '../../api/schema';
import { useFailure } from '../../api/use-failure';
import { text } from '../../text';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import type { Column } from '../../ui/data-table';
import { DataTable } from '../../ui/data-table';
import { PageHeader } from '../../ui/page-header';
import { Segments } from '../../ui/segments';
import { Empty, Failed } from '../../ui/state';
import { When } from '../../ui/time';
import styles from './dead-letters.module.css';
import { RedriveDialog } from './redrive-dialog';

const t = text.deadLetters;
const c = t.columns;
const filters = [{ value: 'all', label: t.all } as const, ...reasons.map((value) => ({ value, label: t.reason[value] }))];

const columns: readonly Column<Letter>[] = [
  { id: 'reason', header: c.reason, cell: (l) => <Badge tone={l.state === 'redriven' ? 'plain' : 'bad'}>{t.reason[l.reason]}</Badge>, phone: 'lead' },
  { id: 'event', header: c.event, cell: (l) => l.event_type ?? t.noType, phone: 'sub', grow: true, look: 'mono' },
  { id: 'group', header: c.group, cell: (l) => l.group, phone: 'start', sortBy: (l) => l.group, look: 'mono' },
  { id: 'from', header: c.from, cell: (l) => `${l.topic}/${l.partition} @ ${l.offset}`, phone: 'hidden', look: 'quiet' },
  { id: 'attempts', header: c.attempts, cell: (l) => l.attempts, phone: 'hidden', align: 'end' },
  { id: 'state', header: c.state, cell: (l) => t.state[l.state] ?? l.state, phone: 'aside', look: 'quiet' },
  { id: 'failedAt', header: c.failedAt, cell: (l) => <When at={l.failed_at} />, phone: 'end', sortBy: (l) => Date.parse(l.failed_at), align: 'end' },
];

const labelOf = (l: Letter) => t.select(l.event_type ?? t.noEvent, l.id);
const none = { selected: new Set<string>(), onChange: () => undefined, label: '', labelOf };

/** /dead-letters: what consumers gave up. */
export function DeadLettersPage() {
  const [params, setParams] = useSearchParams();
  const reason = reasons.find((r) => r === params.get('reason'));
  return (
    <>
      <PageHeader
        title={t.title}
        lead={t.lead}
        actions={<Segments label={t.filter} value={reason ?? 'all'} options={filters} onChange={(v) => setParams(v === 'all' ? {} : { reason: v })} />}
      />
      <List key={reason ?? 'all'} reason={reason} onShowAll={() => setParams({})} />
    </>
  );
}

function List({ reason, onShowAll }: { reason: Reason | undefined; onShowAll: () => void }) {
  const query = useInfiniteQuery(deadLettersQuery(reason));
  const [redriving, setRedriving] = useState<RedriveBody>();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  if (!query.data) return <DataTable label={t.loading} columns={columns} rows={undefined} rowId={(l) => l.id} selection={none} />;
  const letters = query.data.pages.flatMap((p) => p.items);
  const chosen = letters.map((l) => l.id).filter((id) => selected.has(id)); // without those that have gone meanwhile
  if (letters.length === 0 && !query.hasNextPage) {
    return reason ? (
      <Empty title={t.emptyFilter}>
        <Button onClick={onShowAll}>{t.showAll}</Button>
      </Empty>
    ) : (
      <Empty title={t.empty}>
        <p>{t.emptyHint}</p>
        <Link to="/scenarios/poison-message">{t.emptyLink}</Link>
      </Empty>
    );
  }
  return (
    <>
      <div className={styles.bar}>
        {chosen.length > 0 ? (
          <>
            <span role="status">{t.selected(chosen.length)}</span>
            <Button onClick={() => setSelected(new Set())}>{t.clear}</Button>
            <Button look="primary" onClick={() => setRedriving({ ids: chosen })}>
              {t.redriveSelected(chosen.length)}
            </Button>
          </>
        ) : (
          <Button onClick={() => setRedriving(reason ? { reason } : { all: true })}>{t.redriveAll(reason ?? '')}</Button>
        )}
      </div>
      <DataTable
        label={t.title}
        columns={columns}
        rows={letters}
        rowId={(l) => l.id}
        rowLink={(l) => `/dead-letters/${l.id}`}
        selection={{ selected, onChange: setSelected, label: t.selectAll, labelOf }}
      />
      {query.hasNextPage && (
        <div className={styles.foot}>
          <Button disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? t.moreLoading : t.more}
          </Button>
        </div>
      )}
      {redriving && <RedriveDialog many select={redriving} onClose={() => setRedriving(undefined)} onDone={() => setSelected(new Set())} />}
    </>
  );
}
