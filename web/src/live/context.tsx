import { useQueryClient } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { createContext, useContext, useEffect, useEffectEvent, useMemo, useSyncExternalStore } from 'react';
import type { LiveClient, Status } from './client';
import type { Pace } from './coalesce';
import { coalesce } from './coalesce';
import { OrderFacts } from './facts';
import type { Change } from './protocol';
import { onWake } from './wake';

interface Live {
  client: LiveClient;
  facts: OrderFacts;
}

const LiveContext = createContext<Live | undefined>(undefined);

/** Connects the page's data to the server's push. */
export function LiveProvider({ client, children }: { client: LiveClient; children: ReactNode }) {
  const queries = useQueryClient();
  const live = useMemo(() => ({ client, facts: new OrderFacts() }), [client]);

  useEffect(() => {
    const unsubscribe = [
      client.onChanges((changes) => live.facts.add(changes)),
      client.onReset(() => {
        live.facts.clear();
        void queries.invalidateQueries(); // whatever the page shows
      }),
      client.onStatus(() => {
        const { state } = client.status;
        if (state === 'waiting') void queries.invalidateQueries({ queryKey: ['readiness'] }, { cancelRefetch: false });
        // What failed while the server was away is worth another try now.
        if (state === 'open') void queries.refetchQueries({ type: 'active', predicate: (q) => q.state.status === 'error' });
      }),
    ];
    const unwatch = onWake({
      // What was open before a sleep may only look open: resuming costs little and loses nothing.
      woke: () => {
        client.reconnect();
        void queries.invalidateQueries();
      },
      seen: () => client.retryNow(),
    });
    client.start();
    return () => {
      client.stop();
      unwatch();
      for (const f of unsubscribe) f();
    };
  }, [client, live, queries]);

  return <LiveContext value={live}>{children}</LiveContext>;
}

function useLive(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error('there is no LiveProvider around this component');
  return live;
}

export function useLiveClient(): LiveClient {
  return useLive().client;
}

export function useLiveStatus(): Status {
  const { client } = useLive();
  return useSyncExternalStore(
    (listener) => client.onStatus(listener),
    () => client.status,
  );
}

/** The newest facts about orders; the component renders again when there are more. */
export function useOrderFacts(): OrderFacts {
  const { facts } = useLive();
  useSyncExternalStore(
    (listener) => facts.subscribe(listener),
    () => facts.version,
  );
  return facts;
}

/** Calls listener with what happens on topics while the component is there. topics must be a constant. */
export function useChanges(topics: readonly string[], listener: (changes: readonly Change[]) => void): void {
  const { client } = useLive();
  const heard = useEffectEvent(listener);
  useEffect(() => {
    const unsubscribe = client.onChanges((changes) => heard(changes));
    client.want(topics);
    return unsubscribe;
  }, [client, topics]);
}

/**
 * Runs `run`, coalesced at `pace`, after changes on topics that concern the
 * component. topics and pace must be constants.
 */
export function useRefetch(topics: readonly string[], pace: Pace, concerns: (change: Change) => boolean, run: () => Promise<unknown>): void {
  const { client } = useLive();
  const isConcern = useEffectEvent(concerns);
  const refetch = useEffectEvent(run);
  useEffect(() => {
    const request = coalesce(() => refetch(), pace);
    const unsubscribe = client.onChanges((changes) => {
      if (changes.some((c) => isConcern(c))) request();
    });
    client.want(topics);
    request.settle(); // the first fetch may have come too early as well
    return () => {
      unsubscribe();
      request.stop();
    };
  }, [client, topics, pace]);
}
