import { useQueries } from '@tanstack/react-query';
import { order as orderQuery } from '../api/orders';
import { formatMoney } from '../format/money';
import { useOrderFacts, useRefetch } from '../live/context';
import { text } from '../text';
import { ButtonLink } from '../ui/button';
import type { Column } from '../ui/data-table';
import { DataTable } from '../ui/data-table';
import { PageHeader } from '../ui/page-header';
import { Empty } from '../ui/state';
import { StatusBadge } from '../ui/status-badge';
import { When } from '../ui/time';
import type { Placed } from './my-orders';
import { useMyOrders } from './my-orders';
import type { Order } from '../api/orders';

const topics = ['orders'] as const;
const pace = { every: 1000 };

type Row = Placed & { order: Order | undefined };

const columns: readonly Column<Row>[] = [
  { id: 'placed', header: text.store.track.placed, cell: (r) => <When at={r.order?.created_at ?? r.at} />, phone: 'lead' },
  { id: 'status', header: text.orders.columns.status, cell: (r) => r.order && <StatusBadge status={r.order.status} />, phone: 'state' },
  { id: 'order', header: text.orders.columns.order, cell: (r) => r.id, phone: 'sub', look: 'mono', grow: true },
  { id: 'total', header: text.orders.columns.total, cell: (r) => r.order && formatMoney(r.order.total), phone: 'aside', align: 'end', look: 'strong' },
];

/** /track: what was ordered from this browser. */
export function TrackPage() {
  const mine = useMyOrders();
  const facts = useOrderFacts();
  const orders = useQueries({ queries: mine.map((o) => ({ ...orderQuery(o.id), retry: false })) });
  useRefetch(topics, pace, (c) => mine.some((o) => o.id === c.key), () => Promise.all(orders.map((o) => o.refetch({ cancelRefetch: false }))));
  const rows = mine.map((o, i) => ({ ...o, order: orders[i]?.data && facts.apply(orders[i].data) }));
  return (
    <>
      <PageHeader title={text.store.track.title} lead={text.store.track.lead} />
      {mine.length === 0 ? (
        <Empty title={text.store.track.empty}>
          <p>{text.store.track.emptyHint}</p>
          <ButtonLink to="/" look="primary">
            {text.store.basket.shop}
          </ButtonLink>
        </Empty>
      ) : (
        <DataTable label={text.store.track.title} columns={columns} rows={rows} rowId={(r) => r.id} rowLink={(r) => `/track/${encodeURIComponent(r.id)}`} />
      )}
    </>
  );
}
