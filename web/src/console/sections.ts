import type { LucideIcon } from 'lucide-react';
import { ReceiptText } from 'lucide-react';
import { text } from '../text';

export interface Section {
  path: string;
  label: string;
  icon: LucideIcon;
}

/** The console's sections, as its navigation shows them. A page's route is in ../routes.tsx. */
export const sections: readonly Section[] = [{ path: '/orders', label: text.nav.orders, icon: ReceiptText }];
