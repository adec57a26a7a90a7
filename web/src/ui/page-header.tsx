import { ChevronLeft } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import styles from './page-header.module.css';
import { useTitle } from './title';

interface Props {
  title: ReactNode;
  /** Of the browser's tab; needed where `title` is more than text. */
  tab?: string;
  /** What the page is for, in a sentence. */
  lead?: ReactNode;
  /** Beside the title: a badge, a count. */
  aside?: ReactNode;
  /** At the end of the line: buttons, filters. */
  actions?: ReactNode;
  back?: { to: string; label: string };
}

/** The top of a page: its one h1, and what belongs to the whole of it. */
export function PageHeader({ title, tab, lead, aside, actions, back }: Props) {
  useTitle(tab ?? (typeof title === 'string' ? title : ''));
  return (
    <header className={styles.header}>
      {back && (
        <Link to={back.to} className={styles.back}>
          <ChevronLeft size={16} aria-hidden="true" />
          {back.label}
        </Link>
      )}
      <div className={styles.line}>
        <div className={styles.headline}>
          <h1>{title}</h1>
          {aside}
        </div>
        {actions && <div className={styles.actions}>{actions}</div>}
      </div>
      {lead && <div className={styles.lead}>{lead}</div>}
    </header>
  );
}
