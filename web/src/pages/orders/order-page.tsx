import { useQuery } from '@tanstack/react-query';
import { ChevronLeft } from 'lucide-react';
import { Link, useParams } from 'react-router';
import { ApiError } from '../../api/client';
import type { OrderWithSteps } from '../../api/orders';
import { cancellable, order as orderQuery, timeline as timelineQuery } from '../../api/orders';
import { formatMoney } from '../../format/money';
import { useRefetch } from '../../live/context';
import { text } from '../../text';
import { Card } from '../../ui/card';
import { CopyButton } from '../../ui/copy-button';
import { Skeleton } from '../../ui/skeleton';
import { Failed, Unknown } from '../../ui/state';
import { StatusBadge } from '../../ui/status-badge';
import { useTitle } from '../../ui/title';
import { CancelOrder } from './cancel-order';
import { Details } from './details';
import { Lines } from './lines';
import styles from './order-page.module.css';
import { Steps } from './steps';
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
  useTitle(text.order.title(id));
  const order = useQuery(orderQuery(id));
  const timeline = useQuery(timelineQuery(id));
  useRefetch(topics, orderPace, (c) => c.order_id === id, () => order.refetch({ cancelRefetch: false }));
  useRefetch(topics, timelinePace, (c) => c.order_id === id, () => timeline.refetch({ cancelRefetch: false }));

  if (!order.data) {
    if (order.error instanceof ApiError && order.error.status === 404) return <UnknownOrder id={id} />;
    if (order.isError) return <Failed title={text.order.failed} error={order.error} retry={() => void order.refetch()} />;
  }
  return (
    <>
      <Link to="/orders" className={styles.back}>
        <ChevronLeft size={16} aria-hidden="true" />
        {text.order.back}
      </Link>
      {order.data ? <Header order={order.data} /> : <HeaderSkeleton />}
      <div className={styles.columns}>
        <div className={styles.wide}>
          <Card title={text.order.progress}>{order.data ? <Steps steps={order.data.steps ?? []} /> : <CardSkeleton rows={2} />}</Card>
          <TimelineCard query={timeline} />
        </div>
        <div className={styles.narrow}>
          <Card title={text.order.details}>{order.data ? <Details order={order.data} /> : <CardSkeleton rows={5} />}</Card>
          <Card title={text.order.lines}>{order.data ? <Lines order={order.data} /> : <CardSkeleton rows={3} />}</Card>
        </div>
      </div>
    </>
  );
}

function Header({ order }: { order: OrderWithSteps }) {
  return (
    <div className={styles.header}>
      <div className={styles.headline}>
        <h1>{formatMoney(order.total)}</h1>
        <StatusBadge status={order.status} />
      </div>
      <p className={styles.id}>
        <span className={styles.customer}>{order.customer.name}</span>
        <code data-testid="order-id">{order.order_id}</code>
        <CopyButton value={order.order_id} label={text.order.copy} done={text.order.copied} />
      </p>
      {order.reason && (order.status === 'cancelled' || order.status === 'rejected') && (
        <p className={styles.reason} data-status={order.status}>
          <strong>{text.order.reason[order.status]}</strong> {order.reason}
        </p>
      )}
      <CancelOrder order={order} allowed={cancellable(order)} />
    </div>
  );
}

function UnknownOrder({ id }: { id: string }) {
  return (
    <Unknown title={text.order.unknownTitle}>
      <p className={styles.unknown}>{text.order.unknown(id)}</p>
      <Link to="/orders">{text.notFound.home}</Link>
    </Unknown>
  );
}

function HeaderSkeleton() {
  return (
    <div className={styles.header} aria-busy="true" aria-label={text.order.loading}>
      <div className={styles.headline}>
        <h1>
          <Skeleton width="7rem" />
        </h1>
      </div>
      <p className={styles.id}>
        <Skeleton width="16rem" />
      </p>
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
