import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from 'react-router';
import { ApiError } from '../../api/client';
import type { Order } from '../../api/orders';
import { cancellable, order as orderQuery, timeline as timelineQuery } from '../../api/orders';
import { useFailure } from '../../api/use-failure';
import { formatMoney } from '../../format/money';
import { useRefetch } from '../../live/context';
import { text } from '../../text';
import { Card } from '../../ui/card';
import { CopyButton } from '../../ui/copy-button';
import { PageHeader } from '../../ui/page-header';
import { Skeleton } from '../../ui/skeleton';
import { Failed, Unknown } from '../../ui/state';
import { Steps } from '../../ui/steps';
import { StatusBadge } from '../../ui/status-badge';
import { MailsCard } from '../mails/mails-card';
import { DecideOrder } from '../approvals/order-approval';
import { CancelOrder } from './cancel-order';
import { Details, DetailsSkeleton } from './details';
import { Lines } from './lines';
import styles from './order-page.module.css';
import { TimelineCard } from './timeline';

/** Every topic on which an order leaves a trace. */
const topics = ['orders', 'inventory', 'payments', 'shipments', 'notifications'] as const;
const orderPace = { every: 250 };
// The timeline is joined from read models that follow the facts at their own pace.
const timelinePace = { every: 500, settle: [1500, 5000, 20_000] };

/** /orders/{id}: one order's way, as it goes. */
export function OrderPage() {
  const { id = '' } = useParams();
  return <Page key={id} id={id} />;
}

function Page({ id }: { id: string }) {
  const order = useQuery(orderQuery(id));
  const timeline = useQuery(timelineQuery(id));
  const failure = useFailure(order);
  useRefetch(topics, orderPace, (c) => c.order_id === id, () => order.refetch({ cancelRefetch: false }));
  useRefetch(topics, timelinePace, (c) => c.order_id === id, () => timeline.refetch({ cancelRefetch: false }));

  if (failure instanceof ApiError && failure.status === 404) return <UnknownOrder id={id} />;
  if (failure) return <Failed title={text.order.failed} error={failure} retry={() => void order.refetch()} />;
  return (
    <>
      {order.data ? <Header order={order.data} /> : <HeaderSkeleton id={id} />}
      <div className={styles.columns}>
        <div className={styles.wide}>
          <Card title={text.order.progress}>
            <Steps steps={order.data ? (order.data.steps ?? []) : undefined} />
          </Card>
          <TimelineCard query={timeline} />
        </div>
        <div className={styles.narrow}>
          <Card title={text.order.details}>{order.data ? <Details order={order.data} /> : <DetailsSkeleton />}</Card>
          <Card title={text.order.lines}>{order.data ? <Lines order={order.data} /> : <CardSkeleton rows={3} />}</Card>
          <MailsCard orderId={id} />
        </div>
      </div>
    </>
  );
}

const back = { to: '/orders', label: text.order.back };

function Header({ order }: { order: Order }) {
  return (
    <>
      <PageHeader
        back={back}
        title={formatMoney(order.total)}
        tab={text.order.title(order.order_id)}
        aside={<StatusBadge status={order.status} />}
        actions={
          <div className={styles.actions}>
            <CancelOrder order={order} allowed={cancellable(order)} />
            <DecideOrder order={order} />
          </div>
        }
        lead={
          <span className={styles.id} data-testid="order-id">
            <bdi className={styles.customer}>{order.customer.name}</bdi>
            <Id id={order.order_id} />
          </span>
        }
      />
      {order.reason && (order.status === 'cancelled' || order.status === 'rejected') && (
        <p className={styles.reason} data-tone={order.status === 'rejected' ? 'bad' : 'plain'}>
          <strong>{text.order.reason[order.status]}</strong> {order.reason}
        </p>
      )}
    </>
  );
}

function Id({ id }: { id: string }) {
  return (
    <span className={styles.copied}>
      <code>{id}</code>
      <CopyButton value={id} label={text.order.copy} done={text.order.copied} />
    </span>
  );
}

function UnknownOrder({ id }: { id: string }) {
  return (
    <Unknown title={text.order.unknownTitle}>
      <p className={styles.unknown}>{text.order.unknown(id)}</p>
      <Link to="/orders">{text.notFound.orders}</Link>
    </Unknown>
  );
}

function HeaderSkeleton({ id }: { id: string }) {
  return (
    <div role="group" aria-busy="true" aria-label={text.order.loading}>
      <PageHeader
        back={back}
        title={<Skeleton width="7rem" />}
        tab={text.order.title(id)}
        lead={
          <span className={styles.id}>
            <span className={styles.customer}>
              <Skeleton width="6rem" />
            </span>
            <Id id={id} />
          </span>
        }
      />
    </div>
  );
}

function CardSkeleton({ rows }: { rows: number }) {
  return (
    <div className={styles.skeleton}>
      {Array.from({ length: rows }, (_, i) => (
        <Skeleton key={i} width={`${90 - ((i * 23) % 40)}%`} />
      ))}
    </div>
  );
}
