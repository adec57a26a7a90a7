import { Search } from 'lucide-react';
import { useEffect, useState } from 'react';
import field from './field.module.css';
import styles from './search-field.module.css';

/** Nobody types so slowly that each letter is worth a search. */
const pause = 250;

/** A field to look for something, told of once the typing pauses. */
export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  const [typed, setTyped] = useState(value);
  const [given, setGiven] = useState(value);
  if (given !== value) {
    setGiven(value); // it was changed elsewhere: cleared, or by going back
    setTyped(value);
  }
  useEffect(() => {
    if (typed.trim() === value) return undefined;
    const timer = setTimeout(() => onChange(typed.trim()), pause);
    return () => clearTimeout(timer);
  }, [typed, value, onChange]);
  return (
    <span className={styles.search}>
      <Search size={14} aria-hidden="true" />
      <input type="search" className={field.control} aria-label={label} placeholder={label} maxLength={200} value={typed} onChange={(event) => setTyped(event.target.value)} />
    </span>
  );
}
