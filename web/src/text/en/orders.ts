import type { Kind, Status, StepState } from '../../api/orders';

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

/** Orders, in the console and in the shop. */
export const orders = {
  status,
  stepState,
  kind,
  stepName: (name: string) => stepName[name] ?? name,

  orders: {
    title: 'Orders',
    filter: 'Status',
    search: 'Search id, name or email',
    nothing: 'No order fits',
    nothingHint: (words: string) => `Nothing has “${words}” in its id, name or email.`,
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
    workflow: 'Workflow',
    workflowLink: 'See it in Temporal',
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
    title: 'Cancel this order?',
    question: 'What was reserved is released, and what was paid is refunded.',
    reason: 'Reason (optional, the customer reads it)',
    confirm: 'Cancel the order',
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
    offset: 'after the first entry',
    attempts: (n: number) => `${n} attempts`,
    consumers: (event: string) => `What became of ${event} in each consumer group`,
    consumed: {
      done: (after: string) => `took effect ${after}`,
      read: 'read',
      waiting: 'not read yet',
      given_up: 'given up: there is a dead letter',
    },
    readers: (n: number) => (n === 1 ? 'to 1 browser' : `to ${n} browsers`),
  },
};
