import { useQuery } from '@tanstack/react-query';
import { CircleCheck, CircleSlash, Hourglass, PackageOpen, Truck } from 'lucide-react';
import { Link, useParams } from 'react-router';
import { ApiError } from '../api/client';
import type { Order, Status } from '../api/orders';
import { cancellable, order as orderQuery } from '../api/orders';
import { useFailure } from '../api/use-failure';
import { CancelOrder } from '../console/orders/cancel-order';
import { Lines } from '../console/orders/lines';
import { useRefetch } from '../live/context';
import { text } from '../text';
import { Card } from '../ui/card';
import { CopyButton } from '../ui/copy-button';
import { PageHeader } from '../ui/page-header';
import { Skeleton } from '../ui/skeleton';
import { Failed, Unknown } from '../ui/state';
import { Steps } from '../ui/steps';
import { When } from '../ui/time';
import { Mails } from './mails';
import { outcomeOf } from './outcome';
import styles from './order-page.module.css';

const topics = ['orders', 'inventory', 'payments', 'shipments'] as const;
const pace = { every: 250 };

const signs: Record<Status, typeof Truck> = {
  pending: PackageOpen,
  awaiting_approval: Hourglass,
  confirmed: PackageOpen,
  shipped: Truck,
  completed: CircleCheck,
  cancelled: CircleSlash,
  rejected: CircleSlash,
};

/** /track/{id}: an order as its customer sees it. */
export function OrderPage() {
  const { id = '' } = useParams();
  return <Page key={id} id={id} />;
}

function Page({ id }: { id: string }) {
  const query = useQuery(orderQuery(id));
  useRefetch(topics, pace, (c) => c.order_id === id, () => query.refetch({ cancelRefetch: false }));
  const order = query.data;
  const failure = useFailure(query);

  if (failure instanceof ApiError && failure.status === 404) {
    return (
      <Unknown title={text.order.unknownTitle}>
        <p className={styles.unknown}>{text.order.unknown(id)}</p>
        <Link to="/">{text.notFound.shop}</Link>
      </Unknown>
    );
  }
  if (failure) return <Failed title={text.order.failed} error={failure} retry={() => void query.refetch()} />;
  return (
    <>
      <PageHeader
        back={{ to: '/track', label: text.store.track.title }}
        title={order ? text.store.order.headline[order.status] : <Skeleton width="14rem" />}
        tab={text.order.title(id)}
        actions={order && <CancelOrder order={order} allowed={cancellable(order)} />}
        lead={
          <span className={styles.lead}>
            <code data-testid="order-id">{id}</code>
            <CopyButton value={id} label={text.order.copy} done={text.order.copied} />
          </span>
        }
      />
      <div className={styles.columns} aria-busy={!order}>
        <div className={styles.wide}>
          <Message order={order} />
          <Card title={text.order.progress}>
            <Steps steps={order ? (order.steps ?? []) : undefined} nameOf={text.store.order.stepName} brief />
          </Card>
        </div>
        <div className={styles.narrow}>
          <Card title={text.order.lines}>{order ? <Lines order={order} plain /> : <Blank />}</Card>
          <Mails orderId={id} />
          {order && <Address order={order} />}
        </div>
      </div>
    </>
  );
}

/** Where the order stands, and what became of the money, in plain words. */
function Message({ order }: { order: Order | undefined }) {
  if (!order) {
    return (
      <div className={styles.message}>
        <Skeleton width="18rem" />
      </div>
    );
  }
  const Sign = signs[order.status];
  const { tone, words } = outcomeOf(order);
  return (
    <div className={styles.message} data-tone={tone} role="status">
      <Sign size={20} aria-hidden="true" />
      <div>
        {words.map((w) => (
          <p key={w}>{w}</p>
        ))}
      </div>
    </div>
  );
}

function Address({ order: { customer, created_at: at } }: { order: Order }) {
  return (
    <Card title={text.store.order.to}>
      <address className={styles.address}>
        <bdi>{customer.name}</bdi>
        {customer.address && (
          <>
            <bdi>{customer.address.line1}</bdi>
            <bdi>
              {customer.address.postcode} {customer.address.city}, {customer.address.country}
            </bdi>
          </>
        )}
        <span className={styles.quiet}>
          {text.store.order.placed} <When at={at} />
        </span>
      </address>
    </Card>
  );
}

function Blank() {
  return (
    <div className={styles.blank}>
      <Skeleton width="80%" />
      <Skeleton width="60%" />
    </div>
  );
}
