import type { LucideIcon } from 'lucide-react';
import { Check, Circle, LoaderCircle, Minus, Undo2, X } from 'lucide-react';
import type { Step, StepState } from '../api/orders';
import { text } from '../text';
import { Skeleton } from './skeleton';
import styles from './steps.module.css';

const icons: Record<StepState, LucideIcon> = {
  waiting: Circle,
  running: LoaderCircle,
  done: Check,
  failed: X,
  compensating: LoaderCircle,
  compensated: Undo2,
  skipped: Minus,
};

interface Props {
  steps: readonly Step[] | undefined;
  nameOf?: (step: string) => string;
  /** Without attempts and errors, which only an engineer can make something of. */
  brief?: boolean;
}

/** The saga, step by step: where it is, what it tries again, what it takes back. Its place, while steps is undefined. */
export function Steps({ steps, nameOf = text.stepName, brief = false }: Props) {
  if (!steps) return <Place nameOf={nameOf} />;
  if (steps.length === 0) return <p className={styles.none}>{text.order.noSteps}</p>;
  const troubled = brief ? [] : steps.filter((s) => s.error);
  return (
    <div className={styles.container}>
      <ol className={styles.steps}>
        {steps.map((step) => {
          const look = lookOf(step);
          const Icon = icons[look];
          return (
            <li key={step.name} className={styles.step} data-state={look} aria-current={step.state === 'running' ? 'step' : undefined}>
              <span className={styles.mark}>
                <Icon size={14} strokeWidth={2.5} aria-hidden="true" />
              </span>
              <span className={styles.name}>{nameOf(step.name)}</span>
              <span className={styles.state}>
                {labelOf(step)}
                {!brief && step.attempts > 1 && <> · {text.order.attempts(step.attempts)}</>}
              </span>
            </li>
          );
        })}
      </ol>
      {troubled.length > 0 && (
        <ul className={styles.errors}>
          {troubled.map((s) => (
            <li key={s.name} data-state={lookOf(s)}>
              <strong>{text.stepName(s.name)}</strong> {s.error}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** What an order usually goes through; the server says what this one does. */
const plan = ['inventory.reserve', 'order.approval', 'payment.authorize', 'inventory.prepare', 'payment.capture', 'inventory.dispatch', 'order.delivery'];

function Place({ nameOf }: { nameOf: (step: string) => string }) {
  return (
    <div className={styles.container} aria-hidden="true">
      <ol className={styles.steps}>
        {plan.map((name) => (
          <li key={name} className={styles.step} data-state="waiting">
            <span className={styles.mark} />
            <span className={styles.name}>{nameOf(name)}</span>
            <span className={styles.state}>
              <Skeleton width="2rem" />
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** The step that stopped the saga: an error stays with it when it is taken back like those before it. */
function hasFailed({ state, error }: Step): boolean {
  return state === 'failed' || ((state === 'compensating' || state === 'compensated') && !!error);
}

function lookOf(step: Step): StepState {
  return hasFailed(step) ? 'failed' : step.state;
}

function labelOf(step: Step): string {
  if (hasFailed(step) && (step.state === 'compensating' || step.state === 'compensated')) return text.order.failedThen[step.state];
  return text.stepState[step.state];
}
