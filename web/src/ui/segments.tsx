import { Toggle } from '@base-ui/react/toggle';
import { ToggleGroup } from '@base-ui/react/toggle-group';
import type { ReactNode } from 'react';
import styles from './segments.module.css';

interface Props<V extends string> {
  label: string;
  value: V;
  options: readonly { value: V; label: ReactNode }[];
  onChange: (value: V) => void;
}

const many = 5; // more than a phone has room for: they scroll up to the screen's edge

/** One of a few: a filter, a range of time. */
export function Segments<V extends string>({ label, value, options, onChange }: Props<V>) {
  return (
    <ToggleGroup
      className={styles.segments}
      aria-label={label}
      data-many={options.length >= many || undefined}
      value={[value]}
      onValueChange={([next]) => {
        if (next !== undefined) onChange(next); // pressing the chosen one again changes nothing
      }}
    >
      {options.map((o) => (
        <Toggle key={o.value} value={o.value}>
          {o.label}
        </Toggle>
      ))}
    </ToggleGroup>
  );
}
