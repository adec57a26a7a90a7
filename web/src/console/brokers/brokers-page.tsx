import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import type { Group, JobQueue, Stream, TaskQueue, Topic } from '../../api/brokers';
import { brokers as brokersQuery } from '../../api/brokers';
import { useFailure } from '../../api/use-failure';
import { locale, text } from '../../text';
import { Badge } from '../../ui/badge';
import { Card } from '../../ui/card';
import type { Column } from '../../ui/data-table';
import { DataTable } from '../../ui/data-table';
import { PageHeader } from '../../ui/page-header';
import { Failed } from '../../ui/state';
import { Ago } from '../../ui/time';
import styles from './brokers-page.module.css';

const t = text.brokers;
const c = t.columns;
const whole = (n: number) => n.toLocaleString(locale);
const rate = (n: number) => n.toLocaleString(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A number that calls for a look when it is not 0. */
function Trouble({ n, tone = 'warn' }: { n: number; tone?: 'warn' | 'bad' }) {
  return n > 0 ? <Badge tone={tone}>{whole(n)}</Badge> : <>{whole(n)}</>;
}

const topics: readonly Column<Topic>[] = [
  { id: 'name', header: c.topic, cell: (r) => r.name, phone: 'lead', sortBy: (r) => r.name, grow: true, look: 'mono' },
  { id: 'rate', header: c.rate, cell: (r) => rate(r.per_second), phone: 'aside', sortBy: (r) => r.per_second, align: 'end' },
  { id: 'records', header: c.records, cell: (r) => whole(r.records), phone: 'hidden', sortBy: (r) => r.records, align: 'end' },
  { id: 'end', header: c.end, cell: (r) => whole(r.end), phone: 'hidden', sortBy: (r) => r.end, align: 'end', look: 'quiet' },
  { id: 'partitions', header: c.partitions, cell: (r) => whole(r.partitions), phone: 'hidden', align: 'end', look: 'quiet' },
];

const groups: readonly Column<Group>[] = [
  { id: 'group', header: c.group, cell: (r) => r.group, phone: 'lead', sortBy: (r) => r.group, look: 'mono' },
  { id: 'reads', header: c.reads, cell: (r) => <Reads group={r} />, phone: 'sub', grow: true, look: 'quiet' },
  { id: 'members', header: c.members, cell: (r) => whole(r.members), phone: 'hidden', sortBy: (r) => r.members, align: 'end' },
  { id: 'lag', header: c.lag, cell: (r) => <Trouble n={r.lag} />, phone: 'aside', sortBy: (r) => r.lag, align: 'end' },
  { id: 'state', header: c.state, cell: (r) => r.state, phone: 'end', look: 'quiet' },
];

/** The topics that a group is behind in; all that it reads when it is behind in none. */
function Reads({ group }: { group: Group }) {
  const behind = group.topics.filter((l) => l.lag > 0);
  if (behind.length > 0) return <>{behind.map((l) => t.lagBy(l.topic, l.lag)).join(', ')}</>;
  return <>{group.topics.filter((l) => !l.topic.startsWith('redrive.')).map((l) => l.topic).join(', ')}</>;
}

const taskQueues: readonly Column<TaskQueue>[] = [
  { id: 'name', header: c.queue, cell: (r) => r.name, phone: 'lead', sortBy: (r) => r.name, grow: true, look: 'mono' },
  { id: 'kind', header: c.kind, cell: (r) => r.kind, phone: 'sub', look: 'quiet' },
  { id: 'pollers', header: c.pollers, cell: (r) => whole(r.pollers), phone: 'hidden', align: 'end' },
  { id: 'backlog', header: c.backlog, cell: (r) => <Trouble n={r.backlog} />, phone: 'aside', sortBy: (r) => r.backlog, align: 'end' },
  { id: 'oldest', header: c.oldest, cell: (r) => t.seconds(r.oldest_seconds), phone: 'hidden', align: 'end' },
  { id: 'added', header: c.added, cell: (r) => rate(r.added_per_second), phone: 'end', align: 'end' },
  { id: 'done', header: c.done, cell: (r) => rate(r.dispatched_per_second), phone: 'hidden', align: 'end' },
];

const jobQueues: readonly Column<JobQueue>[] = [
  { id: 'name', header: c.queue, cell: (r) => r.name, phone: 'lead', grow: true, look: 'mono' },
  { id: 'pending', header: c.pending, cell: (r) => whole(r.pending), phone: 'aside', align: 'end' },
  { id: 'active', header: c.active, cell: (r) => whole(r.active), phone: 'hidden', align: 'end' },
  { id: 'retry', header: c.retry, cell: (r) => <Trouble n={r.retry} />, phone: 'hidden', align: 'end' },
  { id: 'archived', header: c.archived, cell: (r) => <Trouble n={r.archived} tone="bad" />, phone: 'end', align: 'end' },
  { id: 'processed', header: c.processed, cell: (r) => whole(r.processed_today), phone: 'hidden', align: 'end' },
  { id: 'failed', header: c.failed, cell: (r) => whole(r.failed_today), phone: 'hidden', align: 'end' },
];

const streams: readonly Column<Stream>[] = [
  { id: 'name', header: c.stream, cell: (r) => r.name, phone: 'lead', grow: true, look: 'mono' },
  { id: 'messages', header: c.messages, cell: (r) => whole(r.messages), phone: 'aside', align: 'end' },
  { id: 'bytes', header: c.bytes, cell: (r) => size(r.bytes), phone: 'end', align: 'end' },
  { id: 'last', header: c.end, cell: (r) => whole(r.last_seq), phone: 'hidden', align: 'end', look: 'quiet' },
];

function size(bytes: number): string {
  const kib = bytes / 1024;
  return kib < 1024 ? `${rate(kib)} KiB` : `${rate(kib / 1024)} MiB`;
}

/** /brokers: where messages are at this moment. */
export function BrokersPage() {
  const query = useQuery(brokersQuery);
  const { data } = query;
  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  const ours = data?.topics.filter((x) => !isInternal(x.name));
  const internal = data?.topics.filter((x) => isInternal(x.name)) ?? [];
  return (
    <>
      <PageHeader title={t.title} lead={t.lead} />
      <div className={styles.cards}>
        {data?.missing.map((part) => (
          <p key={part} role="status" className={styles.missing}>
            {t.missing(part)}
          </p>
        ))}
        <Part title={t.topics} rows={ours}>
          <DataTable label={t.topics} columns={topics} rows={ours} rowId={(r) => r.name} />
        </Part>
        {data && ( // not before: what stands below a table that fills would jump
          <>
            <Part title={t.groups} rows={data.groups}>
              <DataTable label={t.groups} columns={groups} rows={data.groups} rowId={(r) => r.group} />
            </Part>
            <Part title={t.tasks} rows={data.task_queues}>
              <DataTable label={t.tasks} columns={taskQueues} rows={data.task_queues} rowId={(r) => `${r.name} ${r.kind}`} />
            </Part>
            <Part title={t.jobs} rows={data.job_queues} aside={data.mails && <Mails {...data.mails} />}>
              <DataTable label={t.jobs} columns={jobQueues} rows={data.job_queues} rowId={(r) => r.name} />
            </Part>
            <Part title={t.streams} rows={data.streams}>
              <DataTable label={t.streams} columns={streams} rows={data.streams} rowId={(r) => r.name} />
            </Part>
            <p className={styles.age}>
              {t.asked} <Ago at={data.at} />
              {internal.length > 0 && <> · {t.internal(internal.length)}</>}
            </p>
          </>
        )}
      </div>
    </>
  );
}

function isInternal(topic: string): boolean {
  return topic.startsWith('dead.') || topic.startsWith('redrive.');
}

function Part({ title, rows, aside, children }: { title: string; rows: readonly unknown[] | undefined; aside?: ReactNode; children: ReactNode }) {
  return (
    <Card title={title} aside={aside}>
      {rows?.length === 0 ? <p className={styles.none}>{t.none}</p> : <div className={styles.table}>{children}</div>}
    </Card>
  );
}

function Mails(mails: { queued: number; retrying: number; sending: number; sent: number; failed: number }) {
  return (
    <span className={styles.mails} title={t.mails}>
      {(['queued', 'retrying', 'sending', 'sent', 'failed'] as const)
        .filter((k) => mails[k] > 0 || k === 'sent')
        .map((k) => (
          <Badge key={k} tone={k === 'failed' ? 'bad' : k === 'sent' ? 'good' : k === 'retrying' ? 'warn' : 'plain'}>
            {t.mail[k]} {whole(mails[k])}
          </Badge>
        ))}
    </span>
  );
}
