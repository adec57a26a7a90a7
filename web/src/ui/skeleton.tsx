import styles from './skeleton.module.css';

/** The place of a piece of text that is not there yet. */
export function Skeleton({ width }: { width: string }) {
  return <span className={styles.skeleton} style={{ inlineSize: width }} aria-hidden="true" />;
}
