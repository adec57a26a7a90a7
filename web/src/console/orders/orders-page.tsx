import { useSearchParams } from 'react-router';
import type { Status } from '../../api/orders';
import { statuses } from '../../api/orders';
import { useFailure } from '../../api/use-failure';
import { text } from '../../text';
import { Button } from '../../ui/button';
import { PageHeader } from '../../ui/page-header';
import { SearchField } from '../../ui/search-field';
import { Segments } from '../../ui/segments';
import { Empty, Failed } from '../../ui/state';
import { OrderTable } from './order-table';
import styles from './orders-page.module.css';
import { useLiveOrders } from './use-live-orders';

const filters = [{ value: 'all', label: text.orders.all } as const, ...statuses.map((value) => ({ value, label: text.status[value] }))];

/** /orders: every order, newest first, as it is now. */
export function OrdersPage() {
  const [query, setQuery] = useSearchParams();
  const status = statuses.find((s) => s === query.get('status'));
  const words = query.get('q') ?? '';
  const show = (s: Status | 'all', q: string) => setQuery({ ...(s !== 'all' && { status: s }), ...(q && { q }) }, { replace: q !== words });
  return (
    <>
      <PageHeader
        title={text.orders.title}
        actions={
          <>
            <SearchField label={text.orders.search} value={words} onChange={(q) => show(status ?? 'all', q)} />
            <Segments label={text.orders.filter} value={status ?? 'all'} options={filters} onChange={(s) => show(s, words)} />
          </>
        }
      />
      <List key={`${status ?? 'all'} ${words}`} status={status} words={words} onShowAll={() => show('all', '')} />
    </>
  );
}

function List({ status, words, onShowAll }: { status: Status | undefined; words: string; onShowAll: () => void }) {
  const { orders, fresh, showFresh, query } = useLiveOrders(status, words);
  const failure = useFailure(query);
  if (failure) return <Failed title={text.orders.failed} error={failure} retry={() => void query.refetch()} />;
  if (!orders) return <OrderTable label={text.orders.loading} />;
  if (orders.length === 0 && !query.hasNextPage) return <Nothing status={status} words={words} onShowAll={onShowAll} />;
  return (
    <>
      {fresh > 0 && (
        <div className={styles.fresh}>
          <Button size="small" onClick={showFresh}>
            {text.orders.fresh(fresh)}
          </Button>
        </div>
      )}
      <OrderTable label={text.orders.title} orders={orders} />
      <div className={styles.foot}>
        {query.isFetchNextPageError && <p role="alert">{text.orders.moreFailed}</p>}
        {query.hasNextPage ? (
          <Button disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? text.orders.moreLoading : text.orders.more}
          </Button>
        ) : (
          text.orders.end
        )}
      </div>
    </>
  );
}

function Nothing({ status, words, onShowAll }: { status: Status | undefined; words: string; onShowAll: () => void }) {
  if (words) {
    return (
      <Empty title={text.orders.nothing}>
        <p className={styles.nothing}>{text.orders.nothingHint(words)}</p>
        <Button onClick={onShowAll}>{text.orders.showAll}</Button>
      </Empty>
    );
  }
  if (status) {
    return (
      <Empty title={text.orders.emptyFilter(status)}>
        <p>{text.orders.emptyFilterHint}</p>
        <Button onClick={onShowAll}>{text.orders.showAll}</Button>
      </Empty>
    );
  }
  return (
    <Empty title={text.orders.empty}>
      <p>{text.orders.emptyHint}</p>
      <code className={styles.command}>{text.orders.emptyCommand}</code>
    </Empty>
  );
}
