import { expect, it } from 'vitest';
import type { Sensor } from '../../api/sensors';
import { marksOf, pointsOf, seriesOf, zonesOf } from './zones';

const start = Date.parse('2026-11-26T12:00:00Z');
const at = (minutes: number) => new Date(start + minutes * 60_000).toISOString();

function sensor(device: string, means: readonly (number | null)[], part: Partial<Sensor> = {}): Sensor {
  return {
    sensor: `hall.chilled.${device}`, site: 'hall', zone: 'chilled', device, unit: 'C', value: 4, at: at(means.length),
    windows: means.flatMap((mean, i) => (mean === null ? [] : [{ start: at(i), count: 60, min: mean - 1, max: mean + 2, mean, revision: 1 }])),
    anomalies: [], ...part,
  };
}

it('sensors of a zone share a chart, unless their units differ', () => {
  const zones = zonesOf([sensor('a', []), sensor('b', []), sensor('door', [], { unit: 'open' }), sensor('c', [], { zone: 'frozen' })]);
  expect(zones.map((z) => [z.id, z.sensors.map((s) => s.device)])).toEqual([
    ['hall.chilled C', ['a', 'b']],
    ['hall.chilled open', ['door']],
    ['hall.frozen C', ['c']],
  ]);
});

it('points are minutes, with a mean for each sensor and a band around all', () => {
  const [zone] = zonesOf([sensor('a', [3, 4]), sensor('b', [8])]);
  if (!zone) throw new Error('no zone');
  expect(pointsOf(zone)).toEqual([
    { x: start, 'hall.chilled.a': 3, 'hall.chilled.b': 8, band: [2, 10] },
    { x: start + 60_000, 'hall.chilled.a': 4, band: [3, 6] },
  ]);
  expect(seriesOf(zone).map((s) => [s.name, s.tone])).toEqual([
    ['a', 'accent'],
    ['b', 'good'],
  ]);
});

it('a minute without a reading interrupts the line', () => {
  const [zone] = zonesOf([sensor('a', [3, null, null, 4])]);
  expect(zone && pointsOf(zone).map((p) => [p.x, p['hall.chilled.a']])).toEqual([
    [start, 3],
    [start + 60_000, undefined],
    [start + 180_000, 4],
  ]);
});

it('anomalies are marked at their minute, as far as it is shown', () => {
  const anomaly = { at: at(2), rule: 'too_warm', value: 9, limit: 8, severity: 'critical', detail: 'above 8 C' };
  const [zone] = zonesOf([sensor('a', [3, 9], { anomalies: [anomaly, { ...anomaly, at: at(-30), severity: 'warning' }] })]);
  if (!zone) throw new Error('no zone');
  expect(zone.anomalies.map((a) => a.at)).toEqual([at(2), at(-30)]);
  expect(marksOf(zone, pointsOf(zone), (a) => `${a.device}: ${a.detail}`)).toEqual([{ x: start + 60_000, y: 9, label: 'a: above 8 C', tone: 'bad' }]);
});
