import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import type { Decision, Order } from '../../api/orders';
import { approvals as approvalsQuery } from '../../api/orders';
import { useFailure } from '../../api/use-failure';
import { useOrderFacts, useRefetch } from '../../live/context';
import { statusOf } from '../../live/facts';
import { text } from '../../text';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import { PageHeader } from '../../ui/page-header';
import { Skeleton } from '../../ui/skeleton';
import { Empty, Failed } from '../../ui/state';
import styles from './approvals-page.module.css';
import { DecideDialog } from './decide-dialog';
import { Waiting } from './waiting';

const t = text.approvals;
const topics = ['orders'] as const;
const pace = { every: 500 };

/** /approvals: orders that wait for a person, the one with the least time first. */
export function ApprovalsPage() {
  const query = useInfiniteQuery(approvalsQuery);
  const facts = useOrderFacts();
  // Above the list, so that it stays open with its answer when the order has left.
  const [asking, setAsking] = useState<{ order: Order; decision: Decision }>();
  const [decided, setDecided] = useState<ReadonlyMap<string, Decision>>(new Map());

  const all = query.data?.pages.flatMap((p) => p.items);
  const waiting = all?.map((o) => facts.apply(o)).filter((o) => o.status === 'awaiting_approval').sort(byDeadline);
  useRefetch(topics, pace, (c) => statusOf(c) === 'awaiting_approval' || (all?.some((o) => o.order_id === c.key) ?? false), () => query.refetch({ cancelRefetch: false }));

  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  return (
    <>
      <PageHeader
        title={t.title}
        lead={t.lead}
        aside={
          waiting && waiting.length > 0 && (
            <span role="status">
              <Badge tone="warn">{t.waiting(waiting.length)}</Badge>
            </span>
          )
        }
      />
      {waiting?.length === 0 && !query.hasNextPage ? (
        <Empty title={t.empty}>
          <p>{t.emptyHint}</p>
          <Link to="/scenarios/approval">{t.emptyLink}</Link>
        </Empty>
      ) : (
        <ul className={styles.list} aria-busy={!waiting} aria-label={waiting ? t.title : t.loading}>
          {waiting
            ? waiting.map((o) => <Waiting key={o.order_id} order={o} decided={decided.get(o.order_id)} onDecide={(decision) => setAsking({ order: o, decision })} />)
            : placeholders}
        </ul>
      )}
      {query.hasNextPage && (
        <div className={styles.foot}>
          <Button disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? t.moreLoading : t.more}
          </Button>
        </div>
      )}
      {asking && (
        <DecideDialog
          {...asking}
          onClose={() => setAsking(undefined)}
          onDone={() => setDecided((before) => new Map(before).set(asking.order.order_id, asking.decision))}
        />
      )}
    </>
  );
}

function byDeadline(a: Order, b: Order): number {
  return deadlineOf(a) - deadlineOf(b);
}

function deadlineOf({ approval }: Order): number {
  return approval ? Date.parse(approval.deadline) : Infinity;
}

const placeholders = Array.from({ length: 3 }, (_, i) => (
  <li key={i} className={styles.waiting}>
    <div className={styles.what}>
      <Skeleton width="14rem" />
      <Skeleton width="70%" />
      <Skeleton width="50%" />
    </div>
  </li>
));
