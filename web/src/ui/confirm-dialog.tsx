import { AlertDialog } from '@base-ui/react/alert-dialog';
import type { ReactNode } from 'react';
import { text } from '../text';
import { Button } from './button';
import styles from './dialog.module.css';
import { explain } from './state';

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  /** What will happen, and a field where more is asked. */
  children: ReactNode;
  confirm: string;
  /** Of the button that does nothing; null where there is nothing left to decide. */
  keep?: string | null;
  tone?: 'primary' | 'danger';
  onConfirm: () => void;
  pending?: boolean;
  /** Why it did not work; the dialog stays open for another try. */
  error?: unknown;
}

/** Asks before something that cannot be taken back. Enter in a field confirms, Escape does not. */
export function ConfirmDialog({ open, onClose, title, children, confirm, keep = text.dialog.keep, tone = 'primary', onConfirm, pending = false, error }: Props) {
  return (
    <AlertDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className={styles.backdrop} />
        <AlertDialog.Viewport className={styles.viewport}>
          <AlertDialog.Popup
            className={styles.popup}
            render={
              <form
                onSubmit={(event) => {
                  event.preventDefault();
                  if (!pending) onConfirm();
                }}
              />
            }
          >
            <AlertDialog.Title className={styles.title}>{title}</AlertDialog.Title>
            <AlertDialog.Description className={styles.body} render={<div />}>
              {children}
            </AlertDialog.Description>
            {error !== undefined && error !== null && (
              <p role="alert" className={styles.failed}>
                {explain(error)}
              </p>
            )}
            <div className={styles.actions}>
              {keep !== null && <AlertDialog.Close render={<Button />}>{keep}</AlertDialog.Close>}
              <Button type="submit" look={tone} aria-disabled={pending}>
                {pending ? text.dialog.pending : confirm}
              </Button>
            </div>
          </AlertDialog.Popup>
        </AlertDialog.Viewport>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
