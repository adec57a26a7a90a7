import type { Decision } from '../../api/orders';

/** Orders that wait for a person. */
export const approvals = {
  approvals: {
    title: 'Approvals',
    lead: 'Orders whose total is above the threshold wait here, with their stock held and nothing charged. Whoever decides first decides; at the deadline the order is rejected.',
    loading: 'Loading orders that wait',
    failed: 'The orders that wait could not be loaded',
    empty: 'No order waits for a person',
    emptyHint: 'An order above the threshold shows up here the moment its stock is held. The scenario “Approval needed” places one, and approves it.',
    emptyLink: 'To the scenario',
    waiting: (n: number) => `${n} waiting`,
    why: (total: string, above: string) => `Its total of ${total} is above ${above}, from where on a person decides.`,
    left: 'left',
    leftOf: 'Time that is left',
    over: 'Time is up',
    overHint: 'It is being rejected.',
    placed: 'Placed',
    more: 'Load more',
    moreLoading: 'Loading …',
    what: 'What was ordered',
    others: (n: number) => `and ${n} more`,
    button: { approve: 'Approve', reject: 'Reject' } satisfies Record<Decision, string>,
    buttonOf: (does: string, customer: string, total: string) => `${does} the order of ${customer}, ${total}`,
    dialog: {
      approve: {
        title: (total: string) => `Approve this order of ${total}?`,
        says: 'It goes on at once: the card is charged, and the parcel is sent.',
        note: 'Note (optional, stays with the order)',
        confirm: 'Approve',
      },
      reject: {
        title: (total: string) => `Reject this order of ${total}?`,
        says: 'Its stock is released, nothing is charged, and the customer gets a mail.',
        note: 'Reason (optional, the customer reads it)',
        confirm: 'Reject',
      },
    } satisfies Record<Decision, object>,
    done: { approve: 'Approved', reject: 'Rejected' } satisfies Record<Decision, string>,
    doneDetail: (decision: Decision, customer: string, total: string) =>
      decision === 'approve' ? `The order of ${customer}, ${total}, goes on.` : `The order of ${customer}, ${total}, is being undone.`,
    order: 'See the order',
  },

  /** On an order's own page. */
  approval: {
    label: 'Approval',
    page: 'All that wait',
    approved: 'Approved',
    refused: 'Rejected by a person',
  },
};
