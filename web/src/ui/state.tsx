import type { LucideIcon } from 'lucide-react';
import { CloudOff, Inbox, SearchX } from 'lucide-react';
import type { ReactNode } from 'react';
import { ApiError, Unreachable } from '../api/client';
import { text } from '../text';
import { Button } from './button';
import styles from './state.module.css';

interface Props {
  title: string;
  children?: ReactNode;
}

/** Stands where something would be: nothing there, not found, failed. */
function State({ icon: Icon, title, children, level = 'h2', role }: Props & { icon: LucideIcon; level?: 'h1' | 'h2'; role?: 'alert' }) {
  const Title = level;
  return (
    <div className={styles.state} role={role}>
      <Icon className={styles.icon} size={24} strokeWidth={1.5} aria-hidden="true" />
      <Title className={styles.title}>{title}</Title>
      {children}
    </div>
  );
}

export function Empty(props: Props) {
  return <State icon={Inbox} {...props} />;
}

export function Unknown(props: Props) {
  return <State icon={SearchX} level="h1" {...props} />;
}

export function Failed({ title, error, retry }: { title: string; error: unknown; retry: () => void }) {
  return (
    <State icon={CloudOff} title={title} role="alert">
      <p>{explain(error)}</p>
      <Button onClick={retry}>{text.errors.retry}</Button>
    </State>
  );
}

/** An error in words for a person. */
export function explain(error: unknown): string {
  if (error instanceof Unreachable) return text.errors.unreachable;
  if (error instanceof ApiError) return text.errors.byCode[error.code] ?? sentence(error.message);
  return text.errors.unexpected;
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1).replace(/([^.!?])$/, '$1.');
}
