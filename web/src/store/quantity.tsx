import { NumberField } from '@base-ui/react/number-field';
import { Minus, Plus } from 'lucide-react';
import { text } from '../text';
import { basket, maxQuantity } from './basket';
import styles from './quantity.module.css';

/** How many of a product are in the basket. Less than one takes it out. */
export function Quantity({ sku, name, quantity, invalid = false }: { sku: string; name: string; quantity: number; invalid?: boolean }) {
  return (
    <NumberField.Root
      className={styles.field}
      value={quantity}
      min={0}
      max={maxQuantity}
      onValueChange={(next, { reason }) => {
        // An emptied field is somebody about to type, not somebody who wants none.
        if (next !== null && (next > 0 || reason !== 'input-change')) basket.set(sku, next);
      }}
    >
      <NumberField.Group className={styles.group} data-invalid={invalid || undefined}>
        <NumberField.Decrement className={styles.step} aria-label={text.store.quantity.less(name)}>
          <Minus size={14} aria-hidden="true" />
        </NumberField.Decrement>
        <NumberField.Input className={styles.input} aria-label={text.store.quantity.of(name)} aria-invalid={invalid} />
        <NumberField.Increment className={styles.step} aria-label={text.store.quantity.more(name)}>
          <Plus size={14} aria-hidden="true" />
        </NumberField.Increment>
      </NumberField.Group>
    </NumberField.Root>
  );
}
