import type { UseQueryResult } from '@tanstack/react-query';
import { ChevronRight } from 'lucide-react';
import { useState } from 'react';
import type { Kind, Timeline, TimelineItem } from '../../api/orders';
import { kinds } from '../../api/orders';
import { useFailure } from '../../api/use-failure';
import { formatMoment, formatOffset } from '../../format/time';
import { text } from '../../text';
import { Card } from '../../ui/card';
import { Code } from '../../ui/code';
import { Skeleton } from '../../ui/skeleton';
import { Failed } from '../../ui/state';
import { Consumers } from './consumers';
import styles from './timeline.module.css';

/** An order's way through the whole system. */
export function TimelineCard({ query }: { query: UseQueryResult<Timeline> }) {
  const [hidden, setHidden] = useState<ReadonlySet<Kind>>(new Set());
  const items = query.data?.items ?? [];
  const present = kinds.filter((k) => items.some((i) => i.kind === k));
  const toggle = (kind: Kind) =>
    setHidden((before) => {
      const after = new Set(before);
      if (!after.delete(kind)) after.add(kind);
      return after;
    });
  return (
    <Card title={text.timeline.title} aside={present.length > 1 && <Filter kinds={present} hidden={hidden} onToggle={toggle} />}>
      <Body query={query} hidden={hidden} />
    </Card>
  );
}

function Body({ query, hidden }: { query: UseQueryResult<Timeline>; hidden: ReadonlySet<Kind> }) {
  const failure = useFailure(query);
  if (failure) return <Failed title={text.timeline.failed} error={failure} retry={() => void query.refetch()} />;
  if (!query.data) return <Loading />;
  const { items, missing = [] } = query.data;
  const shown = items.filter((i) => !hidden.has(i.kind));
  const [start] = items;
  return (
    <>
      {missing.length > 0 && <p className={styles.missing}>{text.timeline.missing(missing)}</p>}
      {!start && <p className={styles.none}>{text.timeline.empty}</p>}
      {start && shown.length === 0 && <p className={styles.none}>{text.timeline.emptyFilter}</p>}
      {start && (
        <ol className={styles.items}>
          {keyed(shown).map(([key, item]) => (
            <Item key={key} item={withPayload(item, items)} start={start.at} />
          ))}
        </ol>
      )}
    </>
  );
}

/** An event's record is the payload of the outbox row that it came from. */
export function withPayload(item: TimelineItem, items: readonly TimelineItem[]): TimelineItem {
  if (item.kind !== 'event') return item;
  const row = items.find((i) => i.kind === 'outbox' && i.detail.event_id === item.detail.event_id);
  return row?.detail.payload === undefined ? item : { ...item, detail: { ...item.detail, payload: row.detail.payload } };
}

function Item({ item, start }: { item: TimelineItem; start: string }) {
  const [open, setOpen] = useState(false);
  return (
    <li className={styles.item} data-kind={item.kind}>
      <button type="button" className={styles.summary} aria-expanded={open} onClick={() => setOpen(!open)}>
        <ChevronRight className={styles.chevron} size={14} aria-hidden="true" />
        <time className={styles.offset} dateTime={item.at} title={`${formatMoment(item.at)}, ${text.timeline.offset}`}>
          {formatOffset(start, item.at)}
        </time>
        <span className={styles.kind}>{text.kind[item.kind]}</span>
        <span className={styles.name}>{item.name}</span>
        <span className={styles.facts}>{factsOf(item)}</span>
      </button>
      <Consumers item={item} />
      {open && (
        <div className={styles.raw}>
          <Code value={item} label={item.name} />
        </div>
      )}
    </li>
  );
}

function Filter({ kinds, hidden, onToggle }: { kinds: readonly Kind[]; hidden: ReadonlySet<Kind>; onToggle: (kind: Kind) => void }) {
  return (
    <div className={styles.filter} role="group" aria-label={text.timeline.filter}>
      {kinds.map((k) => (
        <button key={k} type="button" data-kind={k} aria-pressed={!hidden.has(k)} onClick={() => onToggle(k)}>
          {text.kind[k]}
        </button>
      ))}
    </div>
  );
}

function Loading() {
  return (
    <div role="group" className={styles.loading} aria-busy="true" aria-label={text.timeline.loading}>
      {Array.from({ length: 8 }, (_, i) => (
        <Skeleton key={i} width={`${60 + ((i * 17) % 30)}%`} />
      ))}
    </div>
  );
}

/** The few details worth a glance: where an event is in the log, how a command went. */
export function factsOf({ kind, detail }: TimelineItem): string {
  const { topic, partition, offset, service, attempts, outcome, state, status, readers } = detail;
  const facts: unknown[] = [];
  switch (kind) {
    case 'event':
      if (topic !== undefined && partition !== undefined && offset !== undefined) facts.push(`${show(topic)}/${show(partition)} @ ${show(offset)}`);
      break;
    case 'http':
      facts.push(status);
      break;
    case 'push':
      if (typeof readers === 'number') facts.push(text.timeline.readers(readers));
      break;
    default:
      facts.push(service, outcome ?? state);
  }
  if (typeof attempts === 'number' && attempts > 1) facts.push(text.timeline.attempts(attempts));
  return facts.filter((f) => f !== undefined && f !== '').map(show).join(' · ');
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A stable key for each item, so that an open one stays open when earlier ones turn up late. */
function keyed(items: readonly TimelineItem[]): [string, TimelineItem][] {
  const seen = new Map<string, number>();
  return items.map((item) => {
    const base = `${item.at} ${item.kind} ${item.name}`;
    const n = seen.get(base) ?? 0;
    seen.set(base, n + 1);
    return [`${base} ${n}`, item];
  });
}
