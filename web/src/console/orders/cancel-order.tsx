import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Order } from '../../api/orders';
import { cancelOrder, order as orderQuery } from '../../api/orders';
import { text } from '../../text';
import { Button } from '../../ui/button';
import { ConfirmDialog } from '../../ui/confirm-dialog';
import { TextField } from '../../ui/field';
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
  const cancel = useMutation({
    mutationFn: () => cancelOrder(order.order_id, reason.trim()),
    // Also after a refusal: the order is not what the page took it for.
    onSettled: () => queries.invalidateQueries({ queryKey: orderQuery(order.order_id).queryKey }),
    onSuccess: () => setOpen(false),
  });

  if (!allowed) {
    if (!cancel.isError) return null;
    return (
      <p role="alert" className={styles.failed}>
        {text.cancel.failed(explain(cancel.error))}
      </p>
    );
  }
  if (cancel.isSuccess) return <p className={styles.asked}>{text.cancel.asked}</p>;
  return (
    <>
      <Button onClick={() => setOpen(true)}>{text.cancel.open}</Button>
      <ConfirmDialog
        open={open}
        onClose={() => {
          cancel.reset();
          setOpen(false);
        }}
        title={text.cancel.title}
        confirm={text.cancel.confirm}
        keep={text.cancel.keep}
        tone="danger"
        pending={cancel.isPending}
        error={cancel.error}
        onConfirm={() => cancel.mutate()}
      >
        <p>{text.cancel.question}</p>
        <TextField label={text.cancel.reason} value={reason} maxLength={500} onChange={setReason} />
      </ConfirmDialog>
    </>
  );
}
