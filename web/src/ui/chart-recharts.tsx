import { Area, Bar, CartesianGrid, ComposedChart, Line, LineChart, ReferenceDot, Tooltip, XAxis, YAxis } from 'recharts';
import type { ChartProps, Series } from './chart';
import styles from './chart.module.css';

const colours = { accent: 'var(--accent)', good: 'var(--good)', warn: 'var(--warn)', bad: 'var(--bad)', quiet: 'var(--ink-3)' };
const tick = { fill: 'var(--ink-3)', fontSize: 11 };
const fill = { width: '100%', height: '100%' };

/** See ./chart, which loads it. Nothing moves by itself: live points would never come to rest. */
export function Chart({ data, series, kind = 'line', band, marks = [], whole = false, formatX, formatY }: ChartProps & { height: number }) {
  return (
    <ComposedChart responsive style={fill} data={[...data]} margin={{ top: 8, right: 8, bottom: 0, left: 0 }} accessibilityLayer>
      <CartesianGrid vertical={false} stroke="var(--line)" />
      <XAxis
        dataKey="x"
        tick={tick}
        tickLine={false}
        axisLine={{ stroke: 'var(--line-strong)' }}
        tickFormatter={formatX}
        minTickGap={32}
        {...(kind === 'line' && { type: 'number', scale: 'time', domain: ['dataMin', 'dataMax'] })}
      />
      <YAxis tick={tick} tickLine={false} axisLine={false} tickFormatter={formatY} width="auto" allowDecimals={!whole} domain={kind === 'bar' ? [0, 'auto'] : ['auto', 'auto']} />
      <Tooltip
        isAnimationActive={false}
        cursor={{ stroke: 'var(--line-strong)', fill: 'var(--hover)' }}
        wrapperClassName={styles.tip ?? ''}
        contentStyle={{ background: 'none', border: 0, padding: 0 }}
        labelFormatter={(x) => formatX(x as number | string)}
        formatter={(value) => (Array.isArray(value) ? value.map((v) => formatY(Number(v))).join(' – ') : formatY(Number(value)))}
      />
      {band && <Area dataKey={band} stroke="none" fill="var(--accent)" fillOpacity={0.12} isAnimationActive={false} tooltipType="none" />}
      {series.map((s) =>
        kind === 'bar' ? (
          <Bar key={s.key} dataKey={s.key} name={s.name} fill={colourOf(s.tone)} radius={[2, 2, 0, 0]} maxBarSize={28} isAnimationActive={false} />
        ) : (
          <Line key={s.key} dataKey={s.key} name={s.name} stroke={colourOf(s.tone)} strokeWidth={1.75} dot={false} isAnimationActive={false} />
        ),
      )}
      {marks.map((m) => (
        <ReferenceDot key={`${m.x} ${m.label}`} x={m.x} y={m.y} r={4} fill={colours[m.tone]} stroke="var(--surface)" strokeWidth={1.5}>
          <title>{m.label}</title>
        </ReferenceDot>
      ))}
    </ComposedChart>
  );
}

export function Sparkline({ values, tone }: { values: readonly (number | null)[]; tone: Series['tone'] }) {
  const data = values.map((value, x) => ({ x, value }));
  return (
    <LineChart responsive style={fill} data={data} margin={{ top: 2, right: 1, bottom: 2, left: 1 }} accessibilityLayer={false}>
      <YAxis hide domain={['dataMin', 'dataMax']} />
      <Line dataKey="value" stroke={colourOf(tone)} strokeWidth={1.5} dot={false} isAnimationActive={false} />
    </LineChart>
  );
}

function colourOf(tone: Series['tone'] = 'accent'): string {
  return colours[tone];
}
