import { useInfiniteQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import type { Email } from '../../api/emails';
import { emails as emailsQuery } from '../../api/emails';
import { useFailure } from '../../api/use-failure';
import { useRefetch } from '../../live/context';
import { text } from '../../text';
import { Button } from '../../ui/button';
import type { Column } from '../../ui/data-table';
import { DataTable } from '../../ui/data-table';
import { PageHeader } from '../../ui/page-header';
import { Empty, Failed } from '../../ui/state';
import { When } from '../../ui/time';
import styles from './mails.module.css';
import { StateBadge } from './state-badge';

const t = text.mails;
const c = t.columns;
const topics = ['notifications', 'orders'] as const;
const pace = { every: 1000, settle: [2000] };

const columns: readonly Column<Email>[] = [
  { id: 'kind', header: c.kind, cell: (m) => t.kind[m.kind], phone: 'lead', look: 'strong', sortBy: (m) => t.kind[m.kind] },
  { id: 'order', header: c.order, cell: (m) => m.order_id, phone: 'sub', look: 'mono', grow: true, skeleton: '15rem' },
  { id: 'state', header: c.state, cell: (m) => <StateBadge mail={m} />, phone: 'aside', skeleton: '4rem' },
  { id: 'attempts', header: c.attempts, cell: (m) => m.attempts, phone: 'hidden', align: 'end', sortBy: (m) => m.attempts },
  { id: 'written', header: c.written, cell: (m) => <When at={m.created_at} />, phone: 'start', align: 'end', look: 'quiet', sortBy: (m) => Date.parse(m.created_at) },
  { id: 'sent', header: c.sent, cell: (m) => m.sent_at && <When at={m.sent_at} />, phone: 'hidden', align: 'end', look: 'quiet' },
];

/** /mails: what the shop has written to its customers; ?order= for those about one order. */
export function MailsPage() {
  const [params, setParams] = useSearchParams();
  const orderId = params.get('order') ?? '';
  return (
    <>
      <PageHeader title={t.title} lead={t.lead} />
      {orderId !== '' && (
        <p className={styles.filter}>
          {t.of(orderId)}
          <Button size="small" onClick={() => setParams({})}>
            {t.all}
          </Button>
        </p>
      )}
      <List key={orderId} orderId={orderId} />
    </>
  );
}

function List({ orderId }: { orderId: string }) {
  const query = useInfiniteQuery(emailsQuery(orderId));
  // Who has loaded more reads on; rows must not move under their eyes.
  const atTop = (query.data?.pages.length ?? 1) <= 1;
  useRefetch(topics, pace, (change) => atTop && (orderId === '' || change.order_id === orderId), () => query.refetch({ cancelRefetch: false }));
  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  if (!query.data) return <DataTable label={t.loading} columns={columns} rows={undefined} rowId={(m) => m.id} />;
  const mails = query.data.pages.flatMap((p) => p.items);
  if (mails.length === 0) return <Empty title={orderId === '' ? t.empty : t.emptyOf}>{orderId === '' && <p>{t.emptyHint}</p>}</Empty>;
  return (
    <>
      <DataTable label={t.title} columns={columns} rows={mails} rowId={(m) => m.id} rowLink={(m) => `/mails/${encodeURIComponent(m.id)}`} />
      <div className={styles.foot}>
        {query.hasNextPage ? (
          <Button disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? t.moreLoading : t.more}
          </Button>
        ) : (
          t.end
        )}
      </div>
    </>
  );
}
