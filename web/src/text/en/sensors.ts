const units: Record<string, string> = { C: '°C' };

const rules: Record<string, string> = {
  too_warm: 'Too warm',
  unusual: 'Unusual',
};

const zones: Record<string, string> = { chilled: 'Chilled', frozen: 'Frozen', ambient: 'Ambient' };

/** What devices report from the warehouse. */
export const sensors = {
  sensors: {
    title: 'Sensors',
    lead: 'Readings come over NATS and become minutes: exactly once, by the time at which they were read. A minute is final five seconds after its end; what comes later revises it.',
    loading: 'Loading sensors',
    failed: 'The sensors could not be loaded',
    empty: 'No sensor has reported yet',
    emptyHint: 'The shop for demonstrations plays some cold rooms. They can also be played from the command line:',
    emptyCommand: 'bin/cartwheel sensors',
    zone: (site: string, zone: string) => `${zones[zone] ?? zone}, ${site}`,
    chart: (zone: string) => `${zone}: mean of each minute, and from the least to the greatest reading`,
    band: 'Least – greatest',
    normal: 'Normal',
    anomalies: (n: number) => `${n.toLocaleString('en-GB')} ${n === 1 ? 'anomaly' : 'anomalies'} in a day`,
    anomaliesOf: (zone: string) => `Anomalies of ${zone}`,
    rule: (name: string) => rules[name] ?? name,
    more: (n: number) => `${n.toLocaleString('en-GB')} more`,
    reading: (value: number, unit: string) => `${value.toLocaleString('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 })} ${units[unit] ?? unit}`,
    scale: (value: number, unit: string) => `${value.toLocaleString('en-GB', { maximumFractionDigits: 1 })} ${units[unit] ?? unit}`,
    silent: 'silent',
    columns: { minute: 'Minute', sensor: 'Sensor', mean: 'Mean', least: 'Least', greatest: 'Greatest', count: 'Readings', revision: 'State' },
    open: 'not over yet',
    closed: (revision: number) => (revision > 1 ? `revised ${revision - 1} ×` : 'final'),
    bad: (n: number) => `${n.toLocaleString('en-GB')} ${n === 1 ? 'frame' : 'frames'} could not be read and ${n === 1 ? 'was' : 'were'} dropped since the service started.`,
  },
};
