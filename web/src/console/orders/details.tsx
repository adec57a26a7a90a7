import { useQuery } from '@tanstack/react-query';
import { ExternalLink } from 'lucide-react';
import { fill, links } from '../../api/links';
import type { Order } from '../../api/orders';
import { text } from '../../text';
import { KeyValue } from '../../ui/key-value';
import { Skeleton } from '../../ui/skeleton';
import { Ago, When } from '../../ui/time';
import { approvalOf } from '../approvals/order-approval';
import styles from './details.module.css';

export function Details({ order }: { order: Order }) {
  const { customer, channel, external_id: externalId } = order;
  const { address } = customer;
  const where = useQuery(links);
  const workflow = fill(where.data?.workflow, 'order_id', order.order_id);
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
        [
          text.order.workflow,
          workflow ? (
            <a key="workflow" className={styles.outside} href={workflow} target="_blank" rel="noreferrer">
              {text.order.workflowLink}
              <ExternalLink size={12} aria-hidden="true" />
            </a>
          ) : (
            where.isPending && <span>{line}</span>
          ),
        ],
        [text.order.created, <When key="created" at={order.created_at} />],
        [text.order.updated, <Ago key="updated" at={order.updated_at} />],
        [text.approval.label, approvalOf(order)],
      ]}
    />
  );
}

const line = <Skeleton width="9rem" />;

/** The place of the details of a web order, so that what is below does not jump. */
export function DetailsSkeleton() {
  const lines = (n: number) => Array.from({ length: n }, (_, i) => <span key={i}>{line}</span>);
  return (
    <KeyValue
      items={[
        [text.order.customer, lines(4)],
        [text.order.shipTo, lines(2)],
        [text.order.channel, line],
        [text.order.workflow, line],
        [text.order.created, line],
        [text.order.updated, line],
      ]}
    />
  );
}
