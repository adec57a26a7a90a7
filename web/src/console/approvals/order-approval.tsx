import { useState } from 'react';
import { Link } from 'react-router';
import type { Decision, Order } from '../../api/orders';
import { formatMoney } from '../../format/money';
import { text } from '../../text';
import { Button } from '../../ui/button';
import { When } from '../../ui/time';
import styles from './approvals-page.module.css';
import { DecideDialog } from './decide-dialog';
import { TimeLeft } from './time-left';

/** On the page of an order that waits for a person: the decision. */
export function DecideOrder({ order }: { order: Order }) {
  const [asking, setAsking] = useState<Decision>();
  return (
    <>
      {order.status === 'awaiting_approval' &&
        (['reject', 'approve'] as const).map((decision) => (
          <Button key={decision} look={decision === 'approve' ? 'primary' : 'plain'} onClick={() => setAsking(decision)}>
            {text.approvals.button[decision]}
          </Button>
        ))}
      {asking && <DecideDialog order={order} decision={asking} onClose={() => setAsking(undefined)} />}
    </>
  );
}

/** Why an order waits and how long it still may, or what was decided; nothing for an order that needed no approval. */
export function approvalOf({ approval, status, total, updated_at: since }: Order) {
  if (!approval) return undefined;
  if (approval.decided_at) {
    return (
      <>
        <span>
          {approval.approved ? text.approval.approved : text.approval.refused}, <When at={approval.decided_at} />
        </span>
        {approval.note && <bdi>{approval.note}</bdi>}
      </>
    );
  }
  if (status !== 'awaiting_approval') return undefined;
  return (
    <div className={styles.details}>
      <p>{text.approvals.why(formatMoney(total), formatMoney(approval.above))}</p>
      <TimeLeft from={since} until={approval.deadline} />
      <Link to="/approvals">{text.approval.page}</Link>
    </div>
  );
}
