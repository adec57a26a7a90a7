import type { Anomaly, Sensor } from '../../api/sensors';
import type { Mark, Point, Series } from '../../ui/chart';

export interface Zone {
  id: string;
  site: string;
  zone: string;
  unit: string;
  sensors: readonly Sensor[];
  /** Newest first. */
  anomalies: readonly (Anomaly & { device: string })[];
}

/** Sensors by where they are. Those of another unit stand apart: they have no scale in common. */
export function zonesOf(sensors: readonly Sensor[]): Zone[] {
  const zones = new Map<string, Sensor[]>();
  for (const s of sensors) {
    const id = `${s.site}.${s.zone} ${s.unit}`;
    zones.set(id, [...(zones.get(id) ?? []), s]);
  }
  return [...zones].map(([id, list]) => ({
    id,
    site: list[0]?.site ?? '',
    zone: list[0]?.zone ?? '',
    unit: list[0]?.unit ?? '',
    sensors: list,
    anomalies: list.flatMap((s) => s.anomalies.map((a) => ({ ...a, device: s.device }))).sort((a, b) => Date.parse(b.at) - Date.parse(a.at)),
  }));
}

const minute = 60_000;

/**
 * The minutes of a zone as points: the mean of each sensor under its id, and the
 * band from the least to the greatest reading of all. A minute without a reading
 * interrupts the lines.
 */
export function pointsOf({ sensors }: Zone): Point[] {
  const at = new Map<number, Point>();
  for (const s of sensors) {
    for (const w of s.windows) {
      const x = Date.parse(w.start);
      const point = at.get(x) ?? { x };
      const [least, greatest] = (point.band as readonly [number, number] | undefined) ?? [Infinity, -Infinity];
      at.set(x, { ...point, [s.sensor]: w.mean, band: [Math.min(least, w.min), Math.max(greatest, w.max)] });
    }
  }
  const points = [...at.values()].sort((a, b) => Number(a.x) - Number(b.x));
  return points.flatMap((p, i) => {
    const next = points[i + 1];
    return next && Number(next.x) - Number(p.x) > minute ? [p, { x: Number(p.x) + minute }] : [p];
  });
}

/** The anomalies that happened in the minutes that are shown, each at the minute it was found in. */
export function marksOf(zone: Zone, points: readonly Point[], labelOf: (a: Zone['anomalies'][number]) => string): Mark[] {
  const first = points[0];
  if (!first) return [];
  return zone.anomalies
    .map((a) => ({ x: Date.parse(a.at) - minute, y: a.value, label: labelOf(a), tone: a.severity === 'critical' ? ('bad' as const) : ('warn' as const) }))
    .filter((m) => m.x >= Number(first.x));
}

const tones = ['accent', 'good', 'quiet'] as const;

/** A line for each sensor. Amber and red are for what is wrong. */
export function seriesOf({ sensors }: Zone): (Series & { tone: (typeof tones)[number] })[] {
  return sensors.map((s, i) => ({ key: s.sensor, name: s.device, tone: tones[i % tones.length] ?? 'accent' }));
}
