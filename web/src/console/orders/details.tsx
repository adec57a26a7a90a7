import type { Order } from '../../api/orders';
import { text } from '../../text';
import { KeyValue } from '../../ui/key-value';
import { Skeleton } from '../../ui/skeleton';
import { Ago, When } from '../../ui/time';

export function Details({ order }: { order: Order }) {
  const { customer, channel, external_id: externalId } = order;
  const { address } = customer;
  return (
    <KeyValue
      items={[
        [
          text.order.customer,
          <>
            <bdi>{customer.name}</bdi>
            {customer.email && <a href={`mailto:${customer.email}`}>{customer.email}</a>}
            <code>{customer.customer_id}</code>
          </>,
        ],
        [
          text.order.shipTo,
          address && (
            <>
              <bdi>{address.line1}</bdi>
              <bdi>
                {address.postcode} {address.city}, {address.country}
              </bdi>
            </>
          ),
        ],
        [text.order.channel, channel === 'web' ? text.order.channelWeb : channel],
        [text.order.externalId, externalId && <code>{externalId}</code>],
        [text.order.created, <When key="created" at={order.created_at} />],
        [text.order.updated, <Ago key="updated" at={order.updated_at} />],
      ]}
    />
  );
}

/** The place of the details of a web order, so that what is below does not jump. */
export function DetailsSkeleton() {
  const line = <Skeleton width="9rem" />;
  const lines = (n: number) => Array.from({ length: n }, (_, i) => <span key={i}>{line}</span>);
  return (
    <KeyValue
      items={[
        [text.order.customer, lines(4)],
        [text.order.shipTo, lines(2)],
        [text.order.channel, line],
        [text.order.created, line],
        [text.order.updated, line],
      ]}
    />
  );
}
