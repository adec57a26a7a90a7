import type { LucideIcon } from 'lucide-react';
import { Archive, BadgeCheck, ChartColumn, Drama, Mail, Network, ReceiptText, ShieldCheck, SquareCheckBig, Thermometer } from 'lucide-react';
import { text } from '../text';

export interface Section {
  path: string;
  label: string;
  icon: LucideIcon;
}

/** The console's sections, as its navigation shows them. A page's route is in ../routes.tsx. */
export const sections: readonly Section[] = [
  { path: '/orders', label: text.nav.orders, icon: ReceiptText },
  { path: '/approvals', label: text.sections.approvals, icon: BadgeCheck },
  { path: '/scenarios', label: text.sections.scenarios, icon: Drama },
  { path: '/invariants', label: text.sections.invariants, icon: ShieldCheck },
  { path: '/dead-letters', label: text.sections.deadLetters, icon: Archive },
  { path: '/tasks', label: text.sections.tasks, icon: SquareCheckBig },
  { path: '/mails', label: text.sections.mails, icon: Mail },
  { path: '/sales', label: text.sections.sales, icon: ChartColumn },
  { path: '/sensors', label: text.sections.sensors, icon: Thermometer },
  { path: '/brokers', label: text.sections.brokers, icon: Network },
];
