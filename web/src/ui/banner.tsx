import { Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import styles from './banner.module.css';
import { Button } from './button';

interface Props {
  tone: 'info' | 'warn';
  title: string;
  children?: ReactNode;
  /** 0 to 1 */
  progress?: number | undefined;
  action?: { label: string; run: () => void };
}

/** A message about the whole page, across its width. */
export function Banner({ tone, title, children, progress, action }: Props) {
  const Icon = tone === 'warn' ? TriangleAlert : Info;
  return (
    <div className={styles.banner} data-tone={tone} role="status">
      <div className={styles.inner}>
        <Icon className={styles.icon} size={16} aria-hidden="true" />
        <div className={styles.words}>
          <strong>{title}</strong> {children}
        </div>
        {action && (
          <Button size="small" onClick={action.run}>
            {action.label}
          </Button>
        )}
      </div>
      {progress !== undefined && <progress className={styles.progress} value={progress} max={1} aria-label={title} />}
    </div>
  );
}
