import type { Kind, Status, StepState } from '../api/orders';

export const locale = 'en-GB';

const status: Record<Status, string> = {
  pending: 'Pending',
  awaiting_approval: 'Awaiting approval',
  confirmed: 'Confirmed',
  shipped: 'Shipped',
  completed: 'Completed',
  cancelled: 'Cancelled',
  rejected: 'Rejected',
};

const stepState: Record<StepState, string> = {
  waiting: 'Waiting',
  running: 'Running',
  done: 'Done',
  failed: 'Failed',
  compensating: 'Undoing',
  compensated: 'Undone',
  skipped: 'Skipped',
};

const kind: Record<Kind, string> = {
  http: 'HTTP',
  outbox: 'Outbox',
  event: 'Event',
  command: 'Command',
  email: 'Mail',
  push: 'Push',
};

const stepName: Record<string, string> = {
  'inventory.reserve': 'Reserve stock',
  'order.approval': 'Approval',
  'payment.authorize': 'Authorise payment',
  'inventory.prepare': 'Prepare shipment',
  'payment.capture': 'Capture payment',
  'inventory.dispatch': 'Dispatch',
  'order.delivery': 'Delivery',
};

const partName: Record<string, string> = {
  temporal: 'The saga engine',
  kafka: 'Kafka',
  nats: 'NATS',
  redis: 'Redis',
  postgres: 'Postgres',
  smtp: 'The mail server',
  order: 'The order service',
  inventory: 'The inventory service',
  payment: 'The payment service',
  notification: 'The notification service',
  analytics: 'The analytics service',
  provider: 'The payment provider',
  courier: 'The courier',
};

const partState: Record<string, (detail: string) => string> = {
  building: (detail) => (detail ? `is still being built — ${detail}` : 'is still being built'),
  starting: (detail) => (detail ? `is starting — ${detail}` : 'is starting'),
  down: (detail) => (detail ? `is away — ${detail}` : 'is away'),
};

export const text = {
  product: 'Cartwheel',
  title: (page: string) => `${page} · Cartwheel`,
  nav: { label: 'Main', orders: 'Orders', api: 'API', skip: 'Skip to content' },

  live: {
    open: 'Live',
    openHint: { socket: 'Changes arrive as they happen, over a WebSocket', stream: 'Changes arrive as they happen, over server-sent events' },
    connecting: 'Connecting',
    interrupted: 'Interrupted',
  },
  away: {
    server: 'The server does not answer.',
    push: 'Live updates are interrupted.',
    kept: 'What you see may be out of date.',
    retryIn: (seconds: number) => `Next try in ${seconds} s.`,
    trying: 'Connecting …',
    retry: 'Try now',
  },
  unready: {
    label: 'What is missing',
    part: (name: string, state: string | undefined, detail: string | undefined) => {
      const say = partState[state ?? 'down'];
      const what = say ? say(detail ?? '') : [`is ${state ?? ''}`, detail].filter(Boolean).join(' — ');
      return `${partName[name] ?? name} ${what}.`;
    },
    starting: 'The shop is starting.',
    ordersWait: 'Orders are accepted and wait.',
  },

  status,
  stepState,
  kind,
  stepName: (name: string) => stepName[name] ?? name,

  orders: {
    title: 'Orders',
    filter: 'Status',
    all: 'All',
    columns: { order: 'Order', status: 'Status', customer: 'Customer', items: 'Items', total: 'Total', created: 'Created', updated: 'Updated' },
    items: (lines: number, units: number) => `${units} ${units === 1 ? 'unit' : 'units'}${lines > 1 ? ` in ${lines} lines` : ''}`,
    loading: 'Loading orders',
    more: 'Load more',
    moreLoading: 'Loading …',
    moreFailed: 'The next page could not be loaded.',
    end: 'That is all.',
    fresh: (n: number) => `${n} new ${n === 1 ? 'order' : 'orders'}`,
    empty: 'No orders yet',
    emptyHint: 'An order shows up here the moment it is placed. To see some, let shoppers in:',
    emptyCommand: 'bin/cartwheel load',
    emptyFilter: (s: Status) => `No order is ${status[s].toLowerCase()}`,
    emptyFilterHint: 'The list fills by itself when that changes.',
    showAll: 'Show all orders',
    failed: 'Orders could not be loaded',
  },

  order: {
    title: (id: string) => `Order ${id}`,
    back: 'Orders',
    loading: 'Loading order',
    failed: 'The order could not be loaded',
    copy: 'Copy order id',
    copied: 'Copied',
    progress: 'Progress',
    noSteps: 'The saga has not planned this order yet.',
    attempts: (n: number) => `${n} attempts`,
    failedThen: { compensating: 'Failed, undoing', compensated: 'Failed, undone' },
    details: 'Details',
    customer: 'Customer',
    shipTo: 'Ship to',
    channel: 'Channel',
    channelWeb: 'Storefront',
    externalId: 'External id',
    created: 'Created',
    updated: 'Updated',
    reason: { cancelled: 'Cancelled:', rejected: 'Rejected:' },
    lines: 'Items',
    total: 'Total',
    unknownTitle: 'There is no such order',
    unknown: (id: string) => `No order has the id ${id}. It may be mistyped, or belong to another shop.`,
  },

  cancel: {
    open: 'Cancel order',
    question: 'Cancel this order? What was reserved is released, and what was paid is refunded.',
    reason: 'Reason (optional, the customer reads it)',
    confirm: 'Cancel the order',
    sending: 'Cancelling …',
    keep: 'Keep it',
    asked: 'The cancellation is under way.',
    failed: (why: string) => `The order was not cancelled. ${why}`,
  },

  timeline: {
    title: 'Timeline',
    loading: 'Loading timeline',
    failed: 'The timeline could not be loaded',
    empty: 'Nothing is known of this order’s way yet.',
    emptyFilter: 'Nothing of the chosen kinds.',
    filter: 'Kinds',
    missing: (services: string[]) => `Without the part of ${services.join(', ')}, which ${services.length === 1 ? 'does' : 'do'} not answer.`,
    copy: 'Copy as JSON',
    copied: 'Copied',
    offset: 'after the first entry',
    attempts: (n: number) => `${n} attempts`,
    readers: (n: number) => (n === 1 ? 'to 1 browser' : `to ${n} browsers`),
  },

  time: {
    justNow: 'just now',
    secondsAgo: (n: number) => `${n} s ago`,
    minutesAgo: (n: number) => `${n} min ago`,
    hoursAgo: (n: number) => `${n} h ago`,
    daysAgo: (n: number) => `${n} d ago`,
  },

  errors: {
    unreachable: 'The server does not answer. It may be restarting.',
    unexpected: 'Something went wrong in this page.',
    retry: 'Try again',
    /** What a person can make of a stable error code; other codes speak for themselves in their detail. */
    byCode: {
      order_state: 'The order has gone too far for that. It is on its way, or already at its end.',
      saga_unavailable: 'The saga engine is not there at the moment. Try again shortly.',
      service_unavailable: 'A service is not there at the moment. Try again shortly.',
    } as Record<string, string>,
    crashed: 'This page has failed',
    crashedHint: 'Reloading usually helps. The error was:',
    reload: 'Reload',
  },

  notFound: { title: 'There is no such page', hint: (path: string) => `Nothing is at ${path}.`, home: 'Go to orders' },
};
