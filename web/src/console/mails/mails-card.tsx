import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { emailsOf } from '../../api/emails';
import { useRefetch } from '../../live/context';
import { text } from '../../text';
import { Card } from '../../ui/card';
import { When } from '../../ui/time';
import styles from './mails.module.css';

const t = text.mails;
const topics = ['notifications', 'orders'] as const;
const pace = { every: 500, settle: [1500, 5000] };

/** On an order's page: what was written about it. */
export function MailsCard({ orderId }: { orderId: string }) {
  const mails = useQuery(emailsOf(orderId));
  useRefetch(topics, pace, (c) => c.order_id === orderId, () => mails.refetch({ cancelRefetch: false }));
  return (
    <Card title={t.ofOrder}>
      <ul className={styles.brief}>
        {mails.data?.map((m) => (
          <li key={m.id}>
            <Link to={`/mails/${encodeURIComponent(m.id)}`}>{t.kind[m.kind]}</Link>
            <span className={styles.quiet}>{m.sent_at ? <When at={m.sent_at} /> : t.state[m.state]}</span>
          </li>
        ))}
        {!mails.data?.length && <li className={styles.quiet}>{mails.isError ? t.failed : t.none}</li>}
      </ul>
    </Card>
  );
}
