import { useMemo } from 'react';
import type { Sensor } from '../../api/sensors';
import { formatMinute } from '../../format/time';
import { text } from '../../text';
import { AsTable } from '../../ui/as-table';
import { Badge } from '../../ui/badge';
import { Card } from '../../ui/card';
import { Chart } from '../../ui/chart';
import type { Column } from '../../ui/data-table';
import { DataTable } from '../../ui/data-table';
import { useNow } from '../../ui/now';
import { Ago, When } from '../../ui/time';
import styles from './sensors-page.module.css';
import type { Zone } from './zones';
import { marksOf, pointsOf, seriesOf } from './zones';

const t = text.sensors;
const anomaliesShown = 3;
const silentAfter = 2 * 60_000;

/** A zone: what its sensors say now, its last hour, and what was not as it should be. */
export function ZoneCard({ zone }: { zone: Zone }) {
  const name = t.zone(zone.site, zone.zone);
  const points = pointsOf(zone);
  const series = seriesOf(zone);
  const marks = marksOf(zone, points, (a) => `${a.device}, ${t.rule(a.rule)}: ${a.detail}`);
  const critical = zone.anomalies.some((a) => a.severity === 'critical');
  const n = zone.anomalies.length;
  return (
    <Card title={name} aside={<Badge tone={n === 0 ? 'good' : critical ? 'bad' : 'warn'}>{n === 0 ? t.normal : t.anomalies(n)}</Badge>}>
      <ul className={styles.sensors}>
        {zone.sensors.map((s, i) => (
          <Now key={s.sensor} sensor={s} tone={series[i]?.tone ?? 'accent'} />
        ))}
      </ul>
      <div className={styles.chart}>
        <Chart
          label={t.chart(name)}
          height={200}
          data={points}
          series={series}
          band="band"
          marks={marks}
          formatX={(x) => formatMinute(Number(x))}
          formatY={(y) => t.scale(y, zone.unit)}
        />
      </div>
      {n > 0 && (
        <ul className={styles.anomalies} aria-label={t.anomaliesOf(name)}>
          {zone.anomalies.slice(0, anomaliesShown).map((a) => (
            <li key={`${a.device} ${a.rule} ${a.at}`} data-tone={a.severity === 'critical' ? 'bad' : 'warn'}>
              <When at={a.at} />
              <span>
                <strong>{t.rule(a.rule)}</strong> <bdi>{a.device}</bdi>, {a.detail}
              </span>
            </li>
          ))}
          {n > anomaliesShown && <li className={styles.quiet}>{t.more(n - anomaliesShown)}</li>}
        </ul>
      )}
      <AsTable>
        <Minutes zone={zone} name={name} />
      </AsTable>
    </Card>
  );
}

/** The newest reading of a sensor, which is also the legend of its line. */
function Now({ sensor: s, tone }: { sensor: Sensor; tone: string }) {
  const silent = useNow() - Date.parse(s.at) > silentAfter;
  return (
    <li>
      <span className={styles.line} data-line={tone} aria-hidden="true" />
      <bdi className={styles.device}>{s.device}</bdi>
      <span className={styles.value}>{t.reading(s.value, s.unit)}</span>
      <span className={styles.quiet}>
        {silent && `${t.silent}, `}
        <Ago at={s.at} />
      </span>
    </li>
  );
}

interface Row {
  id: string;
  at: number;
  device: string;
  mean: number;
  min: number;
  max: number;
  count: number;
  revision: number;
}

/** What the chart shows, in figures. */
function Minutes({ zone, name }: { zone: Zone; name: string }) {
  const { unit } = zone;
  const columns = useMemo<readonly Column<Row>[]>(
    () => [
      { id: 'at', header: t.columns.minute, cell: (r) => formatMinute(r.at), phone: 'start', sortBy: (r) => r.at },
      { id: 'device', header: t.columns.sensor, cell: (r) => <bdi>{r.device}</bdi>, phone: 'lead', sortBy: (r) => r.device, grow: true },
      { id: 'mean', header: t.columns.mean, cell: (r) => t.reading(r.mean, unit), phone: 'aside', sortBy: (r) => r.mean, align: 'end' },
      { id: 'min', header: t.columns.least, cell: (r) => t.reading(r.min, unit), phone: 'hidden', sortBy: (r) => r.min, align: 'end' },
      { id: 'max', header: t.columns.greatest, cell: (r) => t.reading(r.max, unit), phone: 'hidden', sortBy: (r) => r.max, align: 'end' },
      { id: 'count', header: t.columns.count, cell: (r) => r.count, phone: 'hidden', align: 'end' },
      { id: 'revision', header: t.columns.revision, cell: (r) => (r.revision === 0 ? t.open : t.closed(r.revision)), phone: 'end', look: 'quiet' },
    ],
    [unit],
  );
  const rows = zone.sensors.flatMap((s) => s.windows.map(({ start, ...w }) => ({ ...w, id: `${s.sensor} ${start}`, at: Date.parse(start), device: s.device })));
  return <DataTable label={name} columns={columns} rows={rows} rowId={(r) => r.id} sorted={{ by: 'at', desc: true }} />;
}
