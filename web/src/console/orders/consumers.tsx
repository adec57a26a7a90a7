import { Check, Clock, X } from 'lucide-react';
import { Link } from 'react-router';
import type { TimelineItem } from '../../api/orders';
import { formatMoment, formatOffset } from '../../format/time';
import { text } from '../../text';
import styles from './consumers.module.css';

const t = text.timeline;
const states = ['done', 'read', 'waiting', 'given_up'] as const;
type State = (typeof states)[number];

export interface Consumption {
  group: string;
  state: State;
  /** When it took effect, where that is known. */
  at?: string;
}

const looks = {
  done: { tone: 'good', icon: Check },
  read: { tone: 'good', icon: Check },
  waiting: { tone: 'plain', icon: Clock },
  given_up: { tone: 'bad', icon: X },
} as const;

/** What became of an event in each consumer group that handles it. */
export function Consumers({ item }: { item: TimelineItem }) {
  const list = consumersOf(item);
  if (list.length === 0) return null;
  return (
    <ul className={styles.consumers} aria-label={t.consumers(item.name)}>
      {list.map(({ group, state, at }) => {
        const { tone, icon: Icon } = looks[state];
        const after = at === undefined ? '' : formatOffset(item.at, at);
        const says = state === 'done' ? t.consumed.done(after) : t.consumed[state];
        return (
          <li key={group} data-tone={tone} title={at === undefined ? says : `${says}, ${formatMoment(at)}`}>
            <Icon size={12} strokeWidth={2.5} role="img" aria-label={says} />
            {state === 'given_up' ? <Link to="/dead-letters">{group}</Link> : <span>{group}</span>}
            {after !== '' && <span className={styles.after}>{after}</span>}
          </li>
        );
      })}
    </ul>
  );
}

/** The consumers of an event's detail, of which the API says no more than that it is an object. */
export function consumersOf({ kind, detail }: TimelineItem): Consumption[] {
  const { consumers } = detail;
  if (kind !== 'event' || !Array.isArray(consumers)) return [];
  return consumers.flatMap((c: unknown) => {
    if (typeof c !== 'object' || c === null) return [];
    const { group, state, at } = c as Record<string, unknown>;
    const known = states.find((s) => s === state);
    if (typeof group !== 'string' || !known) return [];
    return [{ group, state: known, ...(typeof at === 'string' && { at }) }];
  });
}
