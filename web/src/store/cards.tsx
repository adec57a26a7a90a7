import { Radio } from '@base-ui/react/radio';
import { RadioGroup } from '@base-ui/react/radio-group';
import { text } from '../text';
import styles from './cards.module.css';

/** The test provider's cards, each with what it will do: there is no money here. */
const tokens = ['tok_visa', 'tok_declined', 'tok_insufficient_funds', 'tok_timeout_once', 'tok_capture_fails', 'tok_slow'] as const;

export function Cards({ value, disabled, onChange }: { value: string; disabled: boolean; onChange: (token: string) => void }) {
  return (
    <RadioGroup className={styles.cards} aria-label={text.store.checkout.card} value={value} disabled={disabled} onValueChange={(next) => onChange(next)}>
      {tokens.map((token) => (
        <label key={token} className={styles.card}>
          <Radio.Root value={token} className={styles.radio}>
            <Radio.Indicator className={styles.mark} />
          </Radio.Root>
          <span className={styles.words}>
            <span className={styles.name}>{text.store.cards[token].name}</span>
            <span className={styles.does}>{text.store.cards[token].does}</span>
          </span>
        </label>
      ))}
    </RadioGroup>
  );
}
