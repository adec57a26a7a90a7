const count = (n: number) => n.toLocaleString('en-GB');

/** What was sold. */
export const sales = {
  sales: {
    title: 'Sales',
    lead: 'An order counts from its shipment on, on the day it was placed (UTC). All of it is a fold of the facts.',
    failed: 'The sales could not be loaded',
    range: 'Range',
    ranges: { month: '30 days', year: '12 months', all: 'All' },
    currency: 'Currency',
    figures: 'Figures of the range',
    revenue: 'Revenue',
    orders: 'Orders',
    units: 'Units',
    average: 'Average order',
    count,
    byDay: 'Revenue per day',
    byMonth: 'Revenue per month',
    minutes: 'Orders per minute',
    minutesLabel: 'Orders per minute, the last hour',
    lastHour: (n: number) => `${count(n)} in the last hour`,
    best: 'Best sellers',
    loading: 'Loading sales',
    loadingBest: 'Loading best sellers',
    columns: { day: 'Day', month: 'Month', minute: 'Minute', orders: 'Orders', units: 'Units', revenue: 'Revenue', product: 'Product', sku: 'SKU' },
    none: 'Nothing was sold in this time',
    noneHint: 'Sales show up here a moment after an order is shipped. Older ones are under “All”.',
    showAll: 'Show all',
    noneBest: 'Nothing yet.',
    minutesFailed: 'They cannot be counted at the moment.',
    bestFailed: 'They cannot be listed at the moment.',
  },
};
