import { useQuery } from '@tanstack/react-query';
import type { Order } from '../../api/orders';
import { productNames } from '../../api/products';
import { formatMoney } from '../../format/money';
import { text } from '../../text';
import styles from './lines.module.css';

/** What was ordered. Names come from the catalogue; without them, and for an engineer, the SKU. */
export function Lines({ order, plain = false }: { order: Order; plain?: boolean }) {
  const { data: names } = useQuery(productNames);
  return (
    <ul className={styles.lines}>
      {order.lines.map((line) => {
        const name = names?.get(line.sku);
        return (
          <li key={line.sku} className={styles.line}>
            <span className={styles.quantity}>{line.quantity} ×</span>
            <span className={styles.product}>
              {name && <bdi>{name}</bdi>}
              {!(plain && name) && <code>{line.sku}</code>}
            </span>
            <span>{formatMoney(line.total)}</span>
          </li>
        );
      })}
      <li className={styles.sum}>
        <span>{text.order.total}</span>
        <span>{formatMoney(order.total)}</span>
      </li>
    </ul>
  );
}
