import { Check, Copy } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Button } from './button';

interface Props {
  /** What goes to the clipboard. */
  value: string;
  label: string;
  done: string;
  /** Shows the label beside the icon. */
  wide?: boolean;
}

export function CopyButton({ value, label, done, wide = false }: Props) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const says = copied ? done : label;
  const Icon = copied ? Check : Copy;
  return (
    <Button look="quiet" size="small" title={says} aria-label={says} onClick={() => void navigator.clipboard.writeText(value).then(() => setCopied(true))}>
      <Icon size={14} aria-hidden="true" />
      {wide && says}
    </Button>
  );
}
