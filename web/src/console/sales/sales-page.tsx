import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useSearchParams } from 'react-router';
import { productNames } from '../../api/products';
import type { SoldProduct } from '../../api/sales';
import { bestSellers as bestSellersQuery, ordersPerMinute, sales as salesQuery } from '../../api/sales';
import { useFailure } from '../../api/use-failure';
import { formatMoney, formatMoneyShort } from '../../format/money';
import { formatDay, formatMinute } from '../../format/time';
import { text } from '../../text';
import { AsTable } from '../../ui/as-table';
import { Button } from '../../ui/button';
import { Card } from '../../ui/card';
import { Chart } from '../../ui/chart';
import type { Column } from '../../ui/data-table';
import { DataTable } from '../../ui/data-table';
import { useNow } from '../../ui/now';
import { PageHeader } from '../../ui/page-header';
import { Segments } from '../../ui/segments';
import { Skeleton } from '../../ui/skeleton';
import { Empty, Failed } from '../../ui/state';
import styles from './sales-page.module.css';
import type { Bar, Range } from './series';
import { barsOf, currenciesOf, daysOf, ranges } from './series';

const t = text.sales;
const c = t.columns;
const options = ranges.map((value) => ({ value, label: t.ranges[value] }));
const home = 'EUR';

/** /sales: revenue by day or month, orders by minute, and what sells best. */
export function SalesPage() {
  const [params, setParams] = useSearchParams();
  const range: Range = ranges.find((r) => r === params.get('range')) ?? 'month';
  const days = daysOf(range, new Date(useNow()).toISOString().slice(0, 10));
  const query = useQuery(salesQuery(days.from, days.to));
  const [chosen, setChosen] = useState<string>();
  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;

  const currencies = query.data ? currenciesOf(query.data.items) : [];
  const currency = currencies.find((x) => x === chosen) ?? currencies[0] ?? home;
  const bars = query.data && barsOf(query.data.items, currency, range, days);
  const show = (r: Range) => setParams(r === 'month' ? {} : { range: r });
  return (
    <>
      <PageHeader
        title={t.title}
        lead={t.lead}
        actions={
          <>
            {currencies.length > 1 && <Segments label={t.currency} value={currency} options={currencies.map((value) => ({ value, label: value }))} onChange={setChosen} />}
            <Segments label={t.range} value={range} options={options} onChange={show} />
          </>
        }
      />
      <div className={styles.cards} aria-busy={!bars}>
        <Figures bars={bars} currency={currency} />
        <Card title={range === 'month' ? t.byDay : t.byMonth}>
          <Revenue bars={bars} currency={currency} range={range} onShowAll={() => show('all')} />
        </Card>
        <div className={styles.pair}>
          <Minutes />
          <BestSellers from={days.from} to={days.to} />
        </div>
      </div>
    </>
  );
}

function Figures({ bars, currency }: { bars: readonly Bar[] | undefined; currency: string }) {
  const sum = (of: (b: Bar) => number) => bars?.reduce((n, b) => n + of(b), 0);
  const [revenue, orders, units] = [sum((b) => b.revenue), sum((b) => b.orders), sum((b) => b.units)];
  const figures: [string, string | undefined][] = [
    [t.revenue, revenue === undefined ? undefined : formatMoney({ amount: revenue, currency })],
    [t.orders, orders === undefined ? undefined : t.count(orders)],
    [t.units, units === undefined ? undefined : t.count(units)],
    [t.average, revenue === undefined || orders === undefined ? undefined : orders === 0 ? '–' : formatMoney({ amount: Math.round(revenue / orders), currency })],
  ];
  return (
    <dl className={styles.figures} aria-label={t.figures}>
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value ?? <Skeleton width="6rem" />}</dd>
        </div>
      ))}
    </dl>
  );
}

function Revenue({ bars, currency, range, onShowAll }: { bars: readonly Bar[] | undefined; currency: string; range: Range; onShowAll: () => void }) {
  const columns = useMemo<readonly Column<Bar>[]>(
    () => [
      { id: 'x', header: range === 'month' ? c.day : c.month, cell: (b) => formatDay(b.x), phone: 'lead', sortBy: (b) => b.x, grow: true },
      { id: 'orders', header: c.orders, cell: (b) => t.count(b.orders), phone: 'start', sortBy: (b) => b.orders, align: 'end' },
      { id: 'units', header: c.units, cell: (b) => t.count(b.units), phone: 'hidden', sortBy: (b) => b.units, align: 'end' },
      { id: 'revenue', header: c.revenue, cell: (b) => formatMoney({ amount: b.revenue, currency }), phone: 'aside', sortBy: (b) => b.revenue, align: 'end', look: 'strong' },
    ],
    [currency, range],
  );
  if (bars?.every((b) => b.orders === 0)) {
    return (
      <div className={styles.none}>
        <Empty title={t.none}>
          <p>{t.noneHint}</p>
          {range !== 'all' && <Button onClick={onShowAll}>{t.showAll}</Button>}
        </Empty>
      </div>
    );
  }
  const name = range === 'month' ? t.byDay : t.byMonth;
  return (
    <>
      <div className={styles.chart}>
        {bars && (
          <Chart
            label={name}
            kind="bar"
            height={chartHeight}
            data={bars.map(({ x, revenue }) => ({ x, revenue }))}
            series={[{ key: 'revenue', name: t.revenue }]}
            formatX={(x) => formatDay(String(x))}
            formatY={(amount) => formatMoneyShort({ amount, currency })}
          />
        )}
      </div>
      <AsTable>{bars && <DataTable label={name} columns={columns} rows={bars} rowId={(b) => b.x} sorted={{ by: 'x', desc: true }} />}</AsTable>
    </>
  );
}

const chartHeight = 240;

interface MinuteRow {
  at: number;
  orders: number;
}

const minuteColumns: readonly Column<MinuteRow>[] = [
  { id: 'at', header: c.minute, cell: (m) => formatMinute(m.at), phone: 'lead', sortBy: (m) => m.at, grow: true },
  { id: 'orders', header: c.orders, cell: (m) => t.count(m.orders), phone: 'aside', sortBy: (m) => m.orders, align: 'end' },
];

function Minutes() {
  const query = useQuery(ordersPerMinute);
  const failure = useFailure(query);
  const rows = query.data?.items.map((m) => ({ at: Date.parse(m.minute), orders: m.orders }));
  const sum = rows?.reduce((n, m) => n + m.orders, 0);
  return (
    <Card title={t.minutes} aside={<span className={styles.aside}>{sum === undefined ? <Skeleton width="7rem" /> : t.lastHour(sum)}</span>}>
      {failure ? (
        <p className={styles.failed}>{t.minutesFailed}</p>
      ) : (
        <>
          <div className={styles.chart}>
            {rows && (
              <Chart
                label={t.minutesLabel}
                kind="bar"
                height={chartHeight}
                data={rows.map(({ at, orders }) => ({ x: String(at), orders }))}
                series={[{ key: 'orders', name: t.orders }]}
                whole
                formatX={(x) => formatMinute(Number(x))}
                formatY={t.count}
              />
            )}
          </div>
          <AsTable>{rows && <DataTable label={t.minutesLabel} columns={minuteColumns} rows={rows.filter((m) => m.orders > 0)} rowId={(m) => String(m.at)} sorted={{ by: 'at', desc: true }} />}</AsTable>
        </>
      )}
    </Card>
  );
}

function BestSellers({ from, to }: { from: string; to: string }) {
  const query = useQuery(bestSellersQuery(from, to));
  const failure = useFailure(query);
  const { data: names } = useQuery(productNames);
  const columns = useMemo<readonly Column<SoldProduct>[]>(
    () => [
      { id: 'product', header: c.product, cell: (p) => <bdi>{names?.get(p.sku) ?? p.sku}</bdi>, phone: 'lead', grow: true, sortBy: (p) => names?.get(p.sku) ?? p.sku },
      { id: 'units', header: c.units, cell: (p) => t.count(p.units), phone: 'start', align: 'end', sortBy: (p) => p.units },
      { id: 'revenue', header: c.revenue, cell: (p) => formatMoney(p.revenue), phone: 'aside', align: 'end', look: 'strong', sortBy: (p) => p.revenue.amount },
    ],
    [names],
  );
  return (
    <Card title={t.best}>
      {failure ? (
        <p className={styles.failed}>{t.bestFailed}</p>
      ) : query.data?.items.length === 0 ? (
        <p className={styles.failed}>{t.noneBest}</p>
      ) : (
        <div className={styles.rows}>
          <DataTable label={query.data ? t.best : t.loadingBest} columns={columns} rows={query.data?.items} rowId={(p) => `${p.sku} ${p.revenue.currency}`} />
        </div>
      )}
    </Card>
  );
}
