import { memo } from 'react';
import { Link } from 'react-router';
import type { Order } from '../../api/orders';
import { formatMoney } from '../../format/money';
import { text } from '../../text';
import { Skeleton } from '../../ui/skeleton';
import { StatusBadge } from '../../ui/status-badge';
import { Ago, When } from '../../ui/time';
import styles from './order-table.module.css';

const { columns } = text.orders;

/**
 * The table of orders; its skeleton without them. Roles are spelled out because
 * narrow screens lay the rows out as cards, which would end the table otherwise.
 */
export function OrderTable({ label, orders }: { label: string; orders?: readonly Order[] }) {
  return (
    <div className={styles.frame}>
      <table className={styles.table} role="table" aria-label={label} aria-busy={!orders}>
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">
              {columns.order}
            </th>
            <th role="columnheader" scope="col">
              {columns.status}
            </th>
            <th role="columnheader" scope="col">
              {columns.customer}
            </th>
            <th role="columnheader" scope="col">
              {columns.items}
            </th>
            <th role="columnheader" scope="col" className={styles.number}>
              {columns.total}
            </th>
            <th role="columnheader" scope="col" className={styles.number}>
              {columns.created}
            </th>
            <th role="columnheader" scope="col" className={styles.number}>
              {columns.updated}
            </th>
          </tr>
        </thead>
        <tbody role="rowgroup">{orders ? orders.map((o) => <Row key={o.order_id} order={o} />) : skeletons}</tbody>
      </table>
    </div>
  );
}

const Row = memo(function Row({ order }: { order: Order }) {
  const units = order.lines.reduce((n, l) => n + l.quantity, 0);
  return (
    <tr role="row" className={styles.row}>
      <td role="cell" className={styles.id}>
        <Link to={`/orders/${encodeURIComponent(order.order_id)}`}>{order.order_id}</Link>
      </td>
      <td role="cell" className={styles.status}>
        <StatusBadge status={order.status} />
      </td>
      <td role="cell" className={styles.customer}>
        {order.customer.name}
      </td>
      <td role="cell" className={styles.items}>
        {text.orders.items(order.lines.length, units)}
      </td>
      <td role="cell" className={styles.total}>
        {formatMoney(order.total)}
      </td>
      <td role="cell" className={styles.created}>
        <When at={order.created_at} />
      </td>
      <td role="cell" className={styles.updated}>
        <Ago at={order.updated_at} />
      </td>
    </tr>
  );
});

const skeletons = Array.from({ length: 12 }, (_, i) => (
  <tr key={i} role="row" className={styles.row}>
    <td role="cell" className={styles.id}>
      <Skeleton width="15rem" />
    </td>
    <td role="cell" className={styles.status}>
      <Skeleton width="5rem" />
    </td>
    <td role="cell" className={styles.customer}>
      <Skeleton width={`${6 + ((i * 5) % 4)}rem`} />
    </td>
    <td role="cell" className={styles.items}>
      <Skeleton width="5rem" />
    </td>
    <td role="cell" className={styles.total}>
      <Skeleton width="4rem" />
    </td>
    <td role="cell" className={styles.created}>
      <Skeleton width="4rem" />
    </td>
    <td role="cell" className={styles.updated}>
      <Skeleton width="4rem" />
    </td>
  </tr>
));
