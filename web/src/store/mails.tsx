import { useQuery } from '@tanstack/react-query';
import { ExternalLink, Mail } from 'lucide-react';
import { emailsOf } from '../api/emails';
import { fill, links } from '../api/links';
import { useRefetch } from '../live/context';
import { text } from '../text';
import { Card } from '../ui/card';
import { When } from '../ui/time';
import styles from './mails.module.css';

const topics = ['notifications', 'orders'] as const;
const pace = { every: 500, settle: [1000, 4000] };

/** The mails about an order, each with the way to it as it was sent. */
export function Mails({ orderId }: { orderId: string }) {
  const mails = useQuery(emailsOf(orderId));
  const { data: where } = useQuery(links);
  useRefetch(topics, pace, (c) => c.order_id === orderId, () => mails.refetch({ cancelRefetch: false }));
  return (
    <Card title={text.store.mails.title}>
      <ul className={styles.mails}>
        {mails.data?.map((m) => {
          const to = m.state === 'sent' ? fill(where?.mail, 'message_id', m.message_id) : undefined;
          return (
            <li key={m.id}>
              <Mail size={16} aria-hidden="true" />
              <span className={styles.words}>
                {to ? (
                  <a href={to} target="_blank" rel="noreferrer">
                    {text.store.mails.kind[m.kind]}
                    <ExternalLink size={12} aria-label={text.store.mails.elsewhere} />
                  </a>
                ) : (
                  text.store.mails.kind[m.kind]
                )}
                <span className={styles.quiet}>{m.sent_at ? <When at={m.sent_at} /> : text.store.mails.state[m.state]}</span>
              </span>
            </li>
          );
        })}
        {(!mails.data || mails.data.length === 0) && <li className={styles.quiet}>{mails.isError ? text.store.mails.failed : text.store.mails.none}</li>}
      </ul>
    </Card>
  );
}
