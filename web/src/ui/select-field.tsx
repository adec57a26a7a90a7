import { Field } from '@base-ui/react/field';
import { Select } from '@base-ui/react/select';
import { Check, ChevronDown } from 'lucide-react';
import field from './field.module.css';
import menu from './menu.module.css';
import styles from './select-field.module.css';

interface Props {
  label: string;
  value: string;
  options: readonly { value: string; label: string }[];
  onChange: (value: string) => void;
  name?: string;
  error?: string | undefined;
  disabled?: boolean;
}

/** One of many, with its label and what is wrong with it. Typing goes to the option that begins so. */
export function SelectField({ label, value, options, onChange, name, error, disabled = false }: Props) {
  return (
    <Field.Root className={field.field} invalid={error !== undefined} disabled={disabled} {...(name !== undefined && { name })}>
      <Field.Label className={field.label} nativeLabel={false} render={<div />}>
        {label}
      </Field.Label>
      <Select.Root value={value} items={options} onValueChange={(next) => next !== null && onChange(next)}>
        <Select.Trigger className={`${field.control ?? ''} ${styles.trigger ?? ''}`}>
          <Select.Value />
          <Select.Icon>
            <ChevronDown size={16} aria-hidden="true" />
          </Select.Icon>
        </Select.Trigger>
        <Select.Portal>
          <Select.Positioner className={menu.positioner} sideOffset={4} alignItemWithTrigger={false}>
            <Select.Popup className={menu.popup}>
              {options.map((o) => (
                <Select.Item key={o.value} value={o.value} className={menu.item}>
                  <Select.ItemText>{o.label}</Select.ItemText>
                  <Select.ItemIndicator className={menu.mark}>
                    <Check size={14} aria-hidden="true" />
                  </Select.ItemIndicator>
                </Select.Item>
              ))}
            </Select.Popup>
          </Select.Positioner>
        </Select.Portal>
      </Select.Root>
      <Field.Error className={field.error} match={error !== undefined}>
        {error}
      </Field.Error>
    </Field.Root>
  );
}
