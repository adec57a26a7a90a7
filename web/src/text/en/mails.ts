import type { Email, SentEmail } from '../../api/emails';

const kind: Record<Email['kind'], string> = {
  confirmed: 'Order confirmed',
  shipped: 'Order shipped',
  rejected: 'Order not filled',
  refunded: 'Refund',
  cancelled: 'Order cancelled',
};

const missing: Record<NonNullable<SentEmail['missing']>, string> = {
  not_sent: 'It was not sent yet. It will be shown here when the mail server has taken it.',
  no_inbox: 'It was sent, and this shop has no inbox in which it could be looked at: set INBOX_URL to have one.',
  inbox_away: 'It was sent. The inbox does not answer at the moment, so it cannot be shown.',
  not_there: 'It was sent, and the inbox no longer has it: it keeps the newest mails only.',
};

/** What the shop has written to its customers. */
export const mails = {
  mails: {
    title: 'Mails',
    lead: 'What the shop has written to its customers, once for each order and occasion. A mail that the mail server does not take is tried again.',
    loading: 'Loading mails',
    failed: 'The mails could not be loaded',
    kind,
    state: { queued: 'Queued', sending: 'Sending', sent: 'Sent', failed: 'Given up' } satisfies Record<Email['state'], string>,
    retrying: 'Waits for another attempt',
    columns: { kind: 'Mail', order: 'Order', state: 'State', attempts: 'Attempts', written: 'Written', sent: 'Sent' },
    empty: 'No mails yet',
    emptyHint: 'Every order that is confirmed, shipped, cancelled or rejected gets one.',
    emptyOf: 'No mails about this order yet',
    of: (order: string) => `Only those about ${order}`,
    all: 'Show all mails',
    more: 'Load more',
    moreLoading: 'Loading …',
    end: 'That is all.',
    duplicate: 'Possibly sent twice',
    duplicateHint: 'A crash hid the mail server’s answer, and there was no inbox to ask: it was sent again.',

    back: 'Mails',
    unknown: 'There is no such mail',
    unknownHint: (id: string) => `No mail has the id ${id}.`,
    oneFailed: 'The mail could not be loaded',
    oneLoading: 'Loading the mail',
    details: 'Details',
    fields: { from: 'From', to: 'To', order: 'Order', state: 'State', attempts: 'Attempts', written: 'Written', sent: 'Sent', messageId: 'Message-ID', error: 'Last error', inbox: 'Inbox' },
    inbox: 'See it there',
    content: 'As it was sent',
    form: 'Form',
    forms: { html: 'HTML', text: 'Text' },
    frame: (subject: string) => `The mail “${subject}”`,
    missing,

    ofOrder: 'Mails',
    none: 'None so far.',
  },
};
