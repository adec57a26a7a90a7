import { useQuery } from '@tanstack/react-query';
import { ExternalLink } from 'lucide-react';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { ApiError } from '../../api/client';
import type { SentEmail } from '../../api/emails';
import { email as emailQuery } from '../../api/emails';
import { useFailure } from '../../api/use-failure';
import { fill, links } from '../../api/links';
import { text } from '../../text';
import { Badge } from '../../ui/badge';
import { Card } from '../../ui/card';
import { KeyValue } from '../../ui/key-value';
import { PageHeader } from '../../ui/page-header';
import { Segments } from '../../ui/segments';
import { Skeleton } from '../../ui/skeleton';
import { Failed, Unknown } from '../../ui/state';
import { When } from '../../ui/time';
import { sandboxed } from './sandbox';
import styles from './mails.module.css';
import { StateBadge } from './state-badge';

const t = text.mails;
const back = { to: '/mails', label: t.back };

/** /mails/{id}: one mail, as it was sent. */
export function MailPage() {
  const { id = '' } = useParams();
  const query = useQuery(emailQuery(id));
  const failure = useFailure(query);
  if (query.data) return <Page sent={query.data} />;
  if (failure instanceof ApiError && failure.status === 404) {
    return (
      <Unknown title={t.unknown}>
        <p className={styles.unknown}>{t.unknownHint(id)}</p>
        <Link to={back.to}>{back.label}</Link>
      </Unknown>
    );
  }
  if (failure) return <Failed title={t.oneFailed} error={failure} retry={() => void query.refetch()} />;
  return (
    <div role="group" aria-busy="true" aria-label={t.oneLoading}>
      <PageHeader title={<Skeleton width="14rem" />} tab={t.title} back={back} />
    </div>
  );
}

function Page({ sent: { mail, as_sent: asSent, missing } }: { sent: SentEmail }) {
  const { data: where } = useQuery(links);
  const elsewhere = asSent && fill(where?.mail, 'message_id', mail.message_id);
  const title = asSent?.subject ?? t.kind[mail.kind];
  return (
    <>
      <PageHeader
        back={back}
        title={<bdi>{title}</bdi>}
        tab={title}
        aside={
          <>
            <StateBadge mail={mail} />
            {mail.possible_duplicate && <Badge tone="warn">{t.duplicate}</Badge>}
          </>
        }
      />
      <div className={styles.columns}>
        {asSent ? (
          <Content mail={asSent} />
        ) : (
          <Card title={t.content}>
            <p className={styles.missing}>{missing && t.missing[missing]}</p>
          </Card>
        )}
        <Card title={t.details}>
          <KeyValue
            items={[
              [t.fields.from, asSent && <bdi key="from">{asSent.from}</bdi>],
              [t.fields.to, asSent?.to.map((to) => <bdi key={to}>{to}</bdi>)],
              [t.fields.order, <Link key="order" to={`/orders/${encodeURIComponent(mail.order_id)}`}>{mail.order_id}</Link>],
              [t.fields.written, <When key="written" at={mail.created_at} />],
              [t.fields.sent, mail.sent_at && <When key="sent" at={mail.sent_at} />],
              [t.fields.attempts, mail.attempts],
              [t.fields.messageId, <code key="id">{mail.message_id}</code>],
              [t.fields.error, mail.error],
              [t.duplicate, mail.possible_duplicate && t.duplicateHint],
              [
                t.fields.inbox,
                elsewhere && (
                  <a key="inbox" className={styles.outside} href={elsewhere} target="_blank" rel="noreferrer">
                    {t.inbox}
                    <ExternalLink size={12} aria-hidden="true" />
                  </a>
                ),
              ],
            ]}
          />
        </Card>
      </div>
    </>
  );
}

const forms = [
  { value: 'html', label: t.forms.html },
  { value: 'text', label: t.forms.text },
] as const;

function Content({ mail }: { mail: NonNullable<SentEmail['as_sent']> }) {
  const [form, setForm] = useState<'html' | 'text'>(mail.html === '' ? 'text' : 'html');
  return (
    <Card title={t.content} aside={mail.html !== '' && <Segments label={t.form} value={form} options={forms} onChange={setForm} />}>
      {form === 'html' ? (
        <iframe className={styles.frame} title={t.frame(mail.subject)} sandbox="allow-popups allow-popups-to-escape-sandbox" srcDoc={sandboxed(mail.html)} />
      ) : (
        <pre className={styles.plain} dir="auto" tabIndex={0} role="region" aria-label={t.frame(mail.subject)}>
          {mail.text}
        </pre>
      )}
    </Card>
  );
}
