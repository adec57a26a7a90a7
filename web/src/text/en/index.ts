import { approvals } from './approvals';
import { mails } from './mails';
import { operations } from './operations';
import { orders } from './orders';
import { sales } from './sales';
import { sensors } from './sensors';
import { shared } from './shared';
import { store } from './store';

export const locale = 'en-GB';

/** All words of both faces; each area has a file of its own beside this one. */
export const text = { ...shared, ...orders, ...approvals, ...mails, ...sales, ...sensors, ...operations, store };
