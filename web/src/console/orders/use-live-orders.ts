import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Status } from '../../api/orders';
import { orderList } from '../../api/orders';
import { useChanges, useOrderFacts, useRefetch } from '../../live/context';
import { statusOf } from '../../live/facts';
import type { Change } from '../../live/protocol';

const topics = ['orders'] as const;
const pace = { every: 1000 };

/**
 * The list of orders, kept current. Statuses come straight from the facts. New
 * orders need the server, which alone knows customers' names: a reader at the
 * top of the list gets them by themselves, one who has loaded more is told how
 * many there are, because rows must not move under their eyes.
 */
export function useLiveOrders(status: Status | undefined, words: string) {
  const options = orderList(status, words);
  const query = useInfiniteQuery(options);
  const queries = useQueryClient();
  const facts = useOrderFacts();
  const [freshIds, setFreshIds] = useState<ReadonlySet<string>>(new Set());

  const pages = query.data?.pages;
  const all = pages?.flatMap((p) => p.items).map((o) => facts.apply(o));
  const orders = status ? all?.filter((o) => o.status === status) : all;

  const atTop = (pages?.length ?? 1) <= 1 && !query.isFetchingNextPage;
  const enters = (c: Change) => {
    const to = statusOf(c);
    return to !== undefined && (status ? to === status : to === 'pending');
  };

  useRefetch(topics, pace, (c) => atTop && enters(c), () => query.refetch({ cancelRefetch: false }));
  useChanges(topics, (changes) => {
    if (atTop) return;
    const entered = changes.filter(enters).map((c) => c.key);
    if (entered.length === 0) return;
    const shown = new Set(pages?.flatMap((p) => p.items.map((o) => o.order_id)));
    setFreshIds((before) => new Set([...before, ...entered.filter((id) => !shown.has(id))]));
  });

  const showFresh = () => {
    setFreshIds(new Set());
    queries.setQueryData(options.queryKey, (data) => data && { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) });
    window.scrollTo({ top: 0 });
    void query.refetch();
  };

  return { query, orders, fresh: freshIds.size, showFresh };
}
