import { useSearchParams } from 'react-router';
import type { Status } from '../../api/orders';
import { statuses } from '../../api/orders';
import { text } from '../../text';
import { Button } from '../../ui/button';
import { PageHeader } from '../../ui/page-header';
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
  const choose = (s: Status | 'all') => setQuery(s === 'all' ? {} : { status: s });
  return (
    <>
      <PageHeader
        title={text.orders.title}
        actions={<Segments label={text.orders.filter} value={status ?? 'all'} options={filters} onChange={choose} />}
      />
      <List key={status ?? 'all'} status={status} onShowAll={() => choose('all')} />
    </>
  );
}

function List({ status, onShowAll }: { status: Status | undefined; onShowAll: () => void }) {
  const { orders, fresh, showFresh, query } = useLiveOrders(status);
  if (!orders) {
    if (query.isError) return <Failed title={text.orders.failed} error={query.error} retry={() => void query.refetch()} />;
    return <OrderTable label={text.orders.loading} />;
  }
  if (orders.length === 0 && !query.hasNextPage) return <Nothing status={status} onShowAll={onShowAll} />;
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

function Nothing({ status, onShowAll }: { status: Status | undefined; onShowAll: () => void }) {
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
