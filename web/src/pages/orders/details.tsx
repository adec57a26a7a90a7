import type { ReactNode } from 'react';
import type { Order } from '../../api/orders';
import { text } from '../../text';
import { Ago, When } from '../../ui/time';
import styles from './details.module.css';

export function Details({ order }: { order: Order }) {
  const { customer, channel, external_id: externalId } = order;
  const { address } = customer;
  return (
    <dl className={styles.details}>
      <Field name={text.order.customer}>
        {customer.name}
        {customer.email && <a href={`mailto:${customer.email}`}>{customer.email}</a>}
        <code>{customer.customer_id}</code>
      </Field>
      {address && (
        <Field name={text.order.shipTo}>
          <span>{address.line1}</span>
          <span>
            {address.postcode} {address.city}, {address.country}
          </span>
        </Field>
      )}
      {channel && <Field name={text.order.channel}>{channel === 'web' ? text.order.channelWeb : channel}</Field>}
      {externalId && (
        <Field name={text.order.externalId}>
          <code>{externalId}</code>
        </Field>
      )}
      <Field name={text.order.created}>
        <When at={order.created_at} />
      </Field>
      <Field name={text.order.updated}>
        <Ago at={order.updated_at} />
      </Field>
    </dl>
  );
}

function Field({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={styles.field}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
