import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useId, useState } from 'react';
import type { Order } from '../../api/orders';
import { cancelOrder, order as orderQuery } from '../../api/orders';
import { text } from '../../text';
import { Button } from '../../ui/button';
import { explain } from '../../ui/state';
import styles from './cancel-order.module.css';

/**
 * Asks for the cancellation of an order, after a second look. The server accepts
 * it and the saga does it: the page shows the end when it comes.
 */
export function CancelOrder({ order, allowed }: { order: Order; allowed: boolean }) {
  const queries = useQueryClient();
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState('');
  const reasonId = useId();
  const cancel = useMutation({
    mutationFn: () => cancelOrder(order.order_id, reason.trim()),
    // Also after a refusal: the order is not what the page took it for.
    onSettled: () => queries.invalidateQueries({ queryKey: orderQuery(order.order_id).queryKey }),
    onSuccess: () => setOpen(false),
  });

  const failed = cancel.isError && (
    <p role="alert" className={styles.failed}>
      {text.cancel.failed(explain(cancel.error))}
    </p>
  );
  if (!allowed) return failed;
  if (cancel.isSuccess) return <p className={styles.asked}>{text.cancel.asked}</p>;
  if (!open) {
    return (
      <>
        <Button className={styles.open} onClick={() => setOpen(true)}>
          {text.cancel.open}
        </Button>
        {failed}
      </>
    );
  }
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        cancel.mutate();
      }}
    >
      <p>{text.cancel.question}</p>
      <label htmlFor={reasonId}>{text.cancel.reason}</label>
      <input id={reasonId} value={reason} maxLength={500} autoFocus onChange={(event) => setReason(event.target.value)} />
      {failed}
      <div className={styles.actions}>
        <Button type="submit" look="danger" disabled={cancel.isPending}>
          {cancel.isPending ? text.cancel.sending : text.cancel.confirm}
        </Button>
        <Button
          look="quiet"
          onClick={() => {
            cancel.reset();
            setOpen(false);
          }}
        >
          {text.cancel.keep}
        </Button>
      </div>
    </form>
  );
}
