import { Field } from '@base-ui/react/field';
import type { ComponentProps, ReactNode } from 'react';
import styles from './field.module.css';

interface Props extends Omit<ComponentProps<'input'>, 'className' | 'value' | 'defaultValue' | 'onChange' | 'children' | 'ref' | 'dir' | 'style' | 'color'> {
  label: string;
  value: string;
  onChange: (value: string) => void;
  hint?: ReactNode;
  /** What is wrong with the value, in words; the field is marked and named as wrong. */
  error?: string | undefined;
}

/** A line of text with its label, and what is wrong with it. */
export function TextField({ label, hint, error, onChange, name, ...input }: Props) {
  return (
    <Field.Root className={styles.field} invalid={error !== undefined} {...(name !== undefined && { name })}>
      <Field.Label className={styles.label}>{label}</Field.Label>
      <Field.Control className={styles.control} onValueChange={onChange} dir="auto" {...input} />
      {hint && <Field.Description className={styles.hint}>{hint}</Field.Description>}
      <Field.Error className={styles.error} match={error !== undefined}>
        {error}
      </Field.Error>
    </Field.Root>
  );
}
