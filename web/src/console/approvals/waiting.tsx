import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import type { Decision, Order } from '../../api/orders';
import { productNames } from '../../api/products';
import { formatMoney } from '../../format/money';
import { text } from '../../text';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import { When } from '../../ui/time';
import styles from './approvals-page.module.css';
import { TimeLeft } from './time-left';

const t = text.approvals;
const linesShown = 3;

interface Props {
  order: Order;
  /** What was decided a moment ago; it leaves the list with the server's next answer. */
  decided: Decision | undefined;
  onDecide: (decision: Decision) => void;
}

/** An order that waits for a person: what it is, why it waits, and how long it still may. */
export function Waiting({ order, decided, onDecide }: Props) {
  const total = formatMoney(order.total);
  const { approval, customer } = order;
  return (
    <li className={styles.waiting} data-testid="waiting">
      <div className={styles.what}>
        <h2 className={styles.head}>
          <Link to={`/orders/${encodeURIComponent(order.order_id)}`} className={styles.total}>
            {total}
          </Link>
          <bdi className={styles.customer}>{customer.name}</bdi>
        </h2>
        {approval && <p>{t.why(total, formatMoney(approval.above))}</p>}
        <Ordered order={order} />
        <p className={styles.facts}>
          <code>{order.order_id}</code>
          <span>
            {t.placed} <When at={order.created_at} />
          </span>
        </p>
      </div>
      {approval && <TimeLeft from={order.updated_at} until={approval.deadline} />}
      <div className={styles.actions}>
        {decided ? (
          <Badge tone={decided === 'approve' ? 'good' : 'plain'}>{t.done[decided]}</Badge>
        ) : (
          (['reject', 'approve'] as const).map((decision) => (
            <Button
              key={decision}
              look={decision === 'approve' ? 'primary' : 'plain'}
              aria-label={t.buttonOf(t.button[decision], customer.name, total)}
              onClick={() => onDecide(decision)}
            >
              {t.button[decision]}
            </Button>
          ))
        )}
      </div>
    </li>
  );
}

/** The largest lines; the rest is counted. */
function Ordered({ order }: { order: Order }) {
  const { data: names } = useQuery(productNames);
  const lines = [...order.lines].sort((a, b) => b.total.amount - a.total.amount);
  const rest = lines.length - linesShown;
  return (
    <ul className={styles.lines} aria-label={t.what}>
      {lines.slice(0, linesShown).map((l) => (
        <li key={l.sku}>
          {l.quantity} × <bdi>{names?.get(l.sku) ?? l.sku}</bdi>
        </li>
      ))}
      {rest > 0 && <li>{t.others(rest)}</li>}
    </ul>
  );
}
