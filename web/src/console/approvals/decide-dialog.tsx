import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Decision, Order } from '../../api/orders';
import { decideOrder } from '../../api/orders';
import { formatMoney } from '../../format/money';
import { text } from '../../text';
import { ConfirmDialog } from '../../ui/confirm-dialog';
import { TextField } from '../../ui/field';
import { useToast } from '../../ui/toast';

const t = text.approvals;

interface Props {
  order: Order;
  decision: Decision;
  onClose: () => void;
  onDone?: () => void;
}

/** Asks for a note, and tells the saga what was decided. */
export function DecideDialog({ order, decision, onClose, onDone }: Props) {
  const queries = useQueryClient();
  const toast = useToast();
  const [note, setNote] = useState('');
  const total = formatMoney(order.total);
  const decide = useMutation({
    mutationFn: () => decideOrder(order.order_id, decision, note.trim()),
    // Also after a refusal: somebody else, or the deadline, was faster.
    onSettled: () => queries.invalidateQueries({ queryKey: ['orders'] }),
    onSuccess: () => {
      toast({
        title: t.done[decision],
        detail: t.doneDetail(decision, order.customer.name, total),
        tone: decision === 'approve' ? 'good' : 'plain',
        link: { to: `/orders/${encodeURIComponent(order.order_id)}`, label: t.order },
      });
      onDone?.();
      onClose();
    },
  });
  const says = t.dialog[decision];
  return (
    <ConfirmDialog
      open
      onClose={onClose}
      title={says.title(total)}
      confirm={says.confirm}
      tone={decision === 'approve' ? 'primary' : 'danger'}
      pending={decide.isPending}
      error={decide.error}
      onConfirm={() => decide.mutate()}
    >
      <p>{says.says}</p>
      <TextField label={says.note} value={note} maxLength={500} onChange={setNote} />
    </ConfirmDialog>
  );
}
