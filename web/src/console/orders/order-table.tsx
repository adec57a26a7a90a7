import type { Order } from '../../api/orders';
import { formatMoney } from '../../format/money';
import { text } from '../../text';
import type { Column } from '../../ui/data-table';
import { DataTable } from '../../ui/data-table';
import { StatusBadge } from '../../ui/status-badge';
import { Ago, When } from '../../ui/time';

const names = text.orders.columns;

const columns: readonly Column<Order>[] = [
  { id: 'order', header: names.order, cell: (o) => o.order_id, phone: 'sub', look: 'mono', skeleton: '15rem' },
  { id: 'status', header: names.status, cell: (o) => <StatusBadge status={o.status} />, phone: 'state', skeleton: '5rem' },
  { id: 'customer', header: names.customer, cell: (o) => <bdi>{o.customer.name}</bdi>, phone: 'lead', grow: true },
  { id: 'items', header: names.items, cell: (o) => text.orders.items(o.lines.length, unitsOf(o)), phone: 'middle', look: 'quiet', skeleton: '5rem' },
  { id: 'total', header: names.total, cell: (o) => formatMoney(o.total), phone: 'aside', align: 'end', look: 'strong', skeleton: '4rem' },
  { id: 'created', header: names.created, cell: (o) => <When at={o.created_at} />, phone: 'start', align: 'end', look: 'quiet', skeleton: '4rem' },
  { id: 'updated', header: names.updated, cell: (o) => <Ago at={o.updated_at} />, phone: 'end', align: 'end', look: 'quiet', skeleton: '4rem' },
];

/** The table of orders; its skeleton without them. */
export function OrderTable({ label, orders }: { label: string; orders?: readonly Order[] }) {
  return <DataTable label={label} columns={columns} rows={orders} rowId={(o) => o.order_id} rowLink={(o) => `/orders/${encodeURIComponent(o.order_id)}`} />;
}

function unitsOf(order: Order): number {
  return order.lines.reduce((n, l) => n + l.quantity, 0);
}
