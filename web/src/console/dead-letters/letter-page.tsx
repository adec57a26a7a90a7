import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { ApiError } from '../../api/client';
import type { Letter } from '../../api/dead-letters';
import { deadLetter as deadLetterQuery } from '../../api/dead-letters';
import { useFailure } from '../../api/use-failure';
import { text } from '../../text';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import { Card } from '../../ui/card';
import { Code } from '../../ui/code';
import { KeyValue } from '../../ui/key-value';
import { PageHeader } from '../../ui/page-header';
import { Skeleton } from '../../ui/skeleton';
import { Failed, Unknown } from '../../ui/state';
import { When } from '../../ui/time';
import styles from './dead-letters.module.css';
import { Marked } from './marked';
import { bytesOf, readable } from './payload';
import { RedriveDialog } from './redrive-dialog';

const t = text.deadLetters;

/** /dead-letters/{group}/{partition}/{offset}: one message that a consumer gave up. */
export function LetterPage() {
  const { '*': id = '' } = useParams();
  const query = useQuery(deadLetterQuery(id));
  const failure = useFailure(query);
  const back = { to: '/dead-letters', label: t.back };
  if (query.data) return <Page letter={query.data} back={back} />;
  if (failure instanceof ApiError && failure.status === 404) {
    return (
      <Unknown title={t.unknown}>
        <p>{t.unknownHint}</p>
        <Link to={back.to}>{back.label}</Link>
      </Unknown>
    );
  }
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  return (
    <div role="group" aria-busy="true" aria-label={t.loading}>
      <PageHeader title={<Skeleton width="12rem" />} tab={t.title} back={back} />
    </div>
  );
}

function Page({ letter: l, back }: { letter: Letter; back: { to: string; label: string } }) {
  const [redriving, setRedriving] = useState(false);
  const bytes = bytesOf(l.raw);
  const raw = readable(bytes);
  return (
    <>
      <PageHeader
        title={l.event_type ?? t.noEvent}
        back={back}
        lead={<p className={styles.hint}>{t.reasonHint[l.reason]}</p>}
        aside={
          <>
            <Badge tone="bad">{t.reason[l.reason]}</Badge>
            {l.state === 'redriven' && <Badge tone="info">{t.state.redriven}</Badge>}
          </>
        }
        actions={
          <Button look="primary" onClick={() => setRedriving(true)}>
            {t.redrive}
          </Button>
        }
      />
      <div className={styles.columns}>
        <Card title={t.details}>
          <KeyValue
            items={[
              [t.fields.error, l.error],
              [t.fields.attempts, t.times(l.attempts)],
              [t.fields.group, <code key="group">{l.group}</code>],
              [t.fields.handler, l.handler !== '' && <code key="handler">{l.handler}</code>],
              [t.fields.place, t.place(l.topic, l.partition, l.offset)],
              [t.fields.key, l.key !== '' && <Key key="key" value={l.key} />],
              [t.fields.eventId, l.event_id && <code key="event">{l.event_id}</code>],
              [t.fields.written, <When key="written" at={l.timestamp} />],
              [t.fields.failedAt, <When key="failed" at={l.failed_at} />],
              [t.fields.redrives, l.redrives > 0 && t.times(l.redrives)],
              [t.fields.redrivenAt, l.redriven_at && <When key="redriven" at={l.redriven_at} />],
            ]}
          />
        </Card>
        <div className={styles.payloads}>
          <Card title={raw.hex ? t.rawHex : t.raw} aside={<span className={styles.size}>{t.bytes(bytes.length)}</span>}>
            {l.cut !== undefined && l.cut > 0 && <p className={styles.padded}>{t.cut(l.cut)}</p>}
            <div className={raw.hex ? undefined : styles.wrap}>
              <Code value={raw.text} label={t.raw} />
            </div>
          </Card>
          <Card title={t.decoded}>{l.payload === undefined ? <p className={styles.padded}>{t.undecoded}</p> : <Marked value={l.payload} problems={l.problems ?? []} label={t.decoded} />}</Card>
        </div>
        {l.problems && l.problems.length > 0 && (
          <Card title={t.problems}>
            <ul className={styles.problems}>
              {l.problems.map((p) => (
                <li key={`${p.pointer} ${p.detail}`}>
                  <code>{p.pointer === '' ? t.whole : p.pointer}</code> {p.detail}
                </li>
              ))}
            </ul>
          </Card>
        )}
      </div>
      {redriving && <RedriveDialog select={{ ids: [l.id] }} onClose={() => setRedriving(false)} />}
    </>
  );
}

function Key({ value }: { value: string }) {
  return value.startsWith('ord_') ? <Link to={`/orders/${encodeURIComponent(value)}`}>{value}</Link> : <code>{value}</code>;
}
