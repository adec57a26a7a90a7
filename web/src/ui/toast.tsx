import { Toast } from '@base-ui/react/toast';
import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { text } from '../text';
import type { Tone } from './badge';
import styles from './toast.module.css';

export interface ToastOptions {
  title: string;
  detail?: string;
  tone?: Tone;
  /** Where there is more about it: a path of ours, or an address elsewhere. */
  link?: { to: string; label: string };
}

/** Makes toasts possible below it, and shows them. */
export function ToastProvider({ children }: { children: ReactNode }) {
  return (
    <Toast.Provider limit={3} timeout={8000}>
      {children}
      <Toast.Portal>
        <Toast.Viewport className={styles.viewport}>
          <Toasts />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

/** Returns a function that tells of something in passing. What must not be missed belongs in the page. */
export function useToast(): (options: ToastOptions) => void {
  const { add } = Toast.useToastManager();
  return ({ title, detail, tone, link }) => {
    add({ title, description: detail, data: { tone, link } });
  };
}

function Toasts() {
  const { toasts } = Toast.useToastManager<Pick<ToastOptions, 'tone' | 'link'>>();
  return toasts.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} className={styles.toast} data-tone={toast.data?.tone ?? 'plain'}>
      <Toast.Content className={styles.content}>
        <div className={styles.words}>
          <Toast.Title className={styles.title} />
          <Toast.Description className={styles.detail} />
          {toast.data?.link && <Leading {...toast.data.link} />}
        </div>
        <Toast.Close className={styles.close} aria-label={text.toast.close}>
          <X size={14} aria-hidden="true" />
        </Toast.Close>
      </Toast.Content>
    </Toast.Root>
  ));
}

function Leading({ to, label }: { to: string; label: string }) {
  if (to.startsWith('/')) return <Link to={to}>{label}</Link>;
  return (
    <a href={to} target="_blank" rel="noreferrer">
      {label}
    </a>
  );
}
