import { mails } from './mails';

// The storefront. It speaks to somebody who wants to buy something.

const stepName: Record<string, string> = {
  'inventory.reserve': 'Items set aside',
  'order.approval': 'Second look',
  'payment.authorize': 'Card checked',
  'inventory.prepare': 'Packed',
  'payment.capture': 'Paid',
  'inventory.dispatch': 'Handed over',
  'order.delivery': 'Delivered',
};

export const store = {
  nav: {
    orders: 'Your orders',
    basket: 'Basket',
    items: (units: number) => (units === 1 ? 'item' : 'items'),
    console: 'Operations console',
  },
  foot: 'A demonstration: nothing here costs money, and nothing is sent.',

  storage: { ambient: 'Ambient', chilled: 'Chilled', frozen: 'Frozen' },
  availability: { many: 'In stock', few: (n: number) => `Only ${n} left`, none: 'Sold out' },
  quantity: {
    of: (name: string) => `Quantity of ${name}`,
    more: (name: string) => `One more of ${name}`,
    less: (name: string) => `One less of ${name}`,
  },

  catalogue: {
    title: 'Groceries and kitchen',
    lead: 'Put a few things in the basket and watch what an order sets in motion.',
    search: 'Search products',
    filter: 'Storage',
    all: 'All',
    count: (n: number) => `${n} ${n === 1 ? 'product' : 'products'}`,
    add: 'Add',
    addOf: (name: string) => `Add ${name} to the basket`,
    loading: 'Loading products',
    failed: 'The products could not be loaded',
    nothing: 'Nothing fits',
    nothingHint: 'No product has all of these words, stored that way.',
    showAll: 'Show all products',
  },

  basket: {
    title: 'Basket',
    empty: 'The basket is empty',
    emptyHint: 'What you put in stays here, also when you close the page.',
    shop: 'Go shopping',
    summary: 'Summary',
    total: 'Total',
    totalHint: 'Taxes and delivery are included.',
    each: (price: string) => `${price} each`,
    remove: (name: string) => `Take ${name} out`,
    gone: 'The shop no longer has this',
    tooMany: (n: number) => `One order takes ${n} different products at most.`,
    checkout: 'Go to checkout',
  },

  checkout: {
    title: 'Checkout',
    who: 'Who is it for?',
    where: 'Where does it go?',
    card: 'Which card pays?',
    cardHint: 'These are the test provider’s cards. Each shows another way that an order can go.',
    emailHint: 'Mails stay in the shop’s own inbox.',
    fields: { name: 'Name', email: 'Email', line1: 'Street and number', postcode: 'Postcode', city: 'City', country: 'Country', card: 'Card' },
    nowhere: 'Nowhere (the courier refuses it)',
    line: (detail: string) => (detail.startsWith('only') ? `${detail.charAt(0).toUpperCase()}${detail.slice(1)}` : `It ${detail}`),
    toBasket: 'Change the basket',
    place: 'Place the order',
    pending: 'Placing the order …',
    again: 'No answer yet, asking again …',
    retry: 'Ask again',
    once: 'Pressed twice or sent twice, it is one order.',
    refused: 'The order was not placed.',
    unknown: 'We do not know yet whether the order arrived.',
    unknownHint: 'The answer got lost. Asking again cannot buy twice: the shop knows this order by its key.',
  },

  cards: {
    tok_visa: { name: 'A good card', does: 'Pays at once.' },
    tok_declined: { name: 'A declined card', does: 'The bank says no; the items are released.' },
    tok_insufficient_funds: { name: 'An empty card', does: 'There is not enough money on it.' },
    tok_timeout_once: { name: 'A card with a bad line', does: 'The bank does it and answers too late. You still pay once.' },
    tok_capture_fails: { name: 'A card that changes its mind', does: 'Promises the money and then refuses it; all is undone.' },
    tok_slow: { name: 'A slow card', does: 'Takes three seconds to answer.' },
  },

  track: {
    title: 'Your orders',
    lead: 'Those that were placed from this browser.',
    placed: 'Placed',
    empty: 'No orders yet',
    emptyHint: 'An order that you place from this browser shows up here.',
  },

  order: {
    headline: {
      pending: 'We have your order',
      awaiting_approval: 'We are taking a second look',
      confirmed: 'Your order is confirmed',
      shipped: 'Your order is on its way',
      completed: 'Your order has arrived',
      cancelled: 'Your order is cancelled',
      rejected: 'Your order could not be filled',
    },
    says: {
      pending: 'The items are being set aside and the card is being checked. It takes a moment.',
      awaiting_approval: 'An order of this size is approved by a person first. There is nothing for you to do; nothing has been charged.',
      confirmed: 'It is packed and paid, and waits for the courier.',
      shipped: 'The courier has it. It can no longer be cancelled.',
      completed: 'It was delivered. Enjoy it!',
      cancelled: 'It was cancelled.',
      rejected: 'Something stood in the way.',
      undoing: 'It cannot be filled. What was set aside and paid is being given back.',
    },
    money: {
      none: 'Your card was not charged.',
      free: 'It cost nothing.',
      underWay: 'What you paid is on its way back to your card.',
      refunded: 'What you paid was refunded in full.',
    },
    stepName: (name: string) => stepName[name] ?? name,
    to: 'Delivery',
    placed: 'Placed',
  },

  mails: {
    title: 'Mails to you',
    none: 'None so far.',
    failed: 'They cannot be listed at the moment.',
    elsewhere: 'opens in the inbox',
    kind: mails.mails.kind,
    state: { queued: 'waiting to be sent', sending: 'being sent', sent: 'sent', failed: 'could not be sent' },
  },

  toasts: {
    mail: 'We sent you a mail',
    read: 'Read it',
    order: 'See the order',
    shipped: 'Your order is on its way',
    delivered: 'Your order has arrived',
    rejected: 'Your order could not be filled',
  },
};
