import { Suspense, lazy } from 'react';
import styles from './chart.module.css';

// The charting library is larger than all else together: a page gets it when it
// has a chart to show. Its place is there from the start, so that nothing moves.
const LazyChart = lazy(() => import('./chart-recharts').then((m) => ({ default: m.Chart })));
const LazySparkline = lazy(() => import('./chart-recharts').then((m) => ({ default: m.Sparkline })));

export interface Series {
  key: string;
  name: string;
  tone?: 'accent' | 'good' | 'warn' | 'bad' | 'quiet';
}

/** `x` is milliseconds, or a word for bars; every other key is the value of a series, null for a gap. */
export type Point = { x: number | string } & Record<string, number | string | null | readonly [number, number]>;

export interface Mark {
  x: number;
  y: number;
  label: string;
  tone: 'warn' | 'bad';
}

export interface ChartProps {
  /** What it shows, for those who cannot see it: "Orders per minute, the last hour". */
  label: string;
  data: readonly Point[];
  series: readonly Series[];
  kind?: 'line' | 'bar';
  height?: number;
  /** The key of pairs [least, greatest], drawn as a band behind the lines. */
  band?: string;
  marks?: readonly Mark[];
  /** The values are whole: no 1.5 on the scale. */
  whole?: boolean;
  formatX: (x: number | string) => string;
  formatY: (y: number) => string;
}

/** Lines or bars over time. It is read by keyboard too: arrows go from point to point. */
export function Chart({ height = 240, ...props }: ChartProps) {
  return (
    <div className={styles.chart} style={{ blockSize: height }} role="group" aria-label={props.label}>
      <Suspense fallback={<span aria-busy="true" />}>
        <LazyChart {...props} height={height} />
      </Suspense>
    </div>
  );
}

/** A line of the size of a word; the newest value belongs beside it as text. */
export function Sparkline({ values, label, tone = 'accent' }: { values: readonly (number | null)[]; label: string; tone?: Series['tone'] }) {
  return (
    <span className={styles.sparkline} role="img" aria-label={label}>
      <Suspense>
        <LazySparkline values={values} tone={tone} />
      </Suspense>
    </span>
  );
}
