import { useQuery } from '@tanstack/react-query';
import { Search } from 'lucide-react';
import { useSearchParams } from 'react-router';
import type { Product } from '../api/products';
import { catalogue, storages } from '../api/products';
import { useFailure } from '../api/use-failure';
import { formatMoney } from '../format/money';
import { useRefetch } from '../live/context';
import { text } from '../text';
import { Button } from '../ui/button';
import { Segments } from '../ui/segments';
import { Skeleton } from '../ui/skeleton';
import { Empty, Failed } from '../ui/state';
import { useTitle } from '../ui/title';
import { basket, useBasket } from './basket';
import styles from './catalogue-page.module.css';
import { matches } from './match';
import { Picture } from './picture';
import { Quantity } from './quantity';

const topics = ['inventory'] as const;
const pace = { every: 1000, settle: [1000] };
const filters = [{ value: 'all', label: text.store.catalogue.all } as const, ...storages.map((value) => ({ value, label: text.store.storage[value] }))];

/** /: what there is, and how much of it is left at this moment. */
export function CataloguePage() {
  useTitle(text.store.catalogue.title);
  const [query, setQuery] = useSearchParams();
  const wanted = query.get('q') ?? '';
  const storage = storages.find((s) => s === query.get('storage'));
  const products = useQuery(catalogue);
  const failure = useFailure(products);
  useRefetch(topics, pace, () => true, () => products.refetch({ cancelRefetch: false }));

  const set = (key: string, value: string) =>
    setQuery(
      (before) => {
        const next = new URLSearchParams(before);
        if (value === '') next.delete(key);
        else next.set(key, value);
        return next;
      },
      { replace: true, preventScrollReset: true },
    );
  const shown = products.data?.filter((p) => (!storage || p.storage === storage) && matches(p, wanted));
  return (
    <>
      <div className={styles.head}>
        <h1>{text.store.catalogue.title}</h1>
        <p>{text.store.catalogue.lead}</p>
      </div>
      <div className={styles.tools} role="search">
        <label className={styles.search}>
          <Search size={16} aria-hidden="true" />
          <input type="search" value={wanted} placeholder={text.store.catalogue.search} aria-label={text.store.catalogue.search} onChange={(e) => set('q', e.target.value)} />
        </label>
        <Segments label={text.store.catalogue.filter} value={storage ?? 'all'} options={filters} onChange={(v) => set('storage', v === 'all' ? '' : v)} />
        <p className={styles.count} role="status">
          {shown && text.store.catalogue.count(shown.length)}
        </p>
      </div>
      {failure !== undefined && <Failed title={text.store.catalogue.failed} error={failure} retry={() => void products.refetch()} />}
      {!shown && failure === undefined && <Loading />}
      {shown?.length === 0 && (
        <Empty title={text.store.catalogue.nothing}>
          <p>{text.store.catalogue.nothingHint}</p>
          <Button onClick={() => setQuery({})}>{text.store.catalogue.showAll}</Button>
        </Empty>
      )}
      {shown && shown.length > 0 && (
        <ul className={styles.grid}>
          {shown.map((p) => (
            <Item key={p.sku} product={p} />
          ))}
        </ul>
      )}
    </>
  );
}

function Item({ product }: { product: Product }) {
  const { lines } = useBasket();
  const quantity = lines.find((l) => l.sku === product.sku)?.quantity ?? 0;
  const soldOut = product.available <= 0;
  const [name, amount] = split(product.name);
  return (
    <li className={styles.item} data-sold-out={soldOut || undefined} data-testid={`product-${product.sku}`}>
      <Picture product={product} />
      <div className={styles.words}>
        <h2>
          <bdi>{name}</bdi>
        </h2>
        <p className={styles.amount}>{[amount, text.store.storage[product.storage]].filter(Boolean).join(' · ')}</p>
      </div>
      <Availability available={product.available} />
      <div className={styles.buy}>
        <span className={styles.price}>{formatMoney(product.price)}</span>
        {quantity > 0 ? (
          <Quantity sku={product.sku} name={name} quantity={quantity} invalid={quantity > product.available} />
        ) : (
          <Button disabled={soldOut} aria-label={soldOut ? undefined : text.store.catalogue.addOf(name)} onClick={() => basket.add(product.sku)}>
            {soldOut ? text.store.availability.none : text.store.catalogue.add}
          </Button>
        )}
      </div>
    </li>
  );
}

/** Few enough to be worth a number to somebody who wants one. */
const few = 20;

function Availability({ available }: { available: number }) {
  const tone = available <= 0 ? 'bad' : available <= few ? 'warn' : 'good';
  return (
    <p className={styles.available} data-tone={tone}>
      {available <= 0 ? text.store.availability.none : available <= few ? text.store.availability.few(available) : text.store.availability.many}
    </p>
  );
}

/** "Green tea, 100 g" is a name and an amount. */
function split(name: string): [name: string, amount: string] {
  const at = name.indexOf(', ');
  return at < 0 ? [name, ''] : [name.slice(0, at), name.slice(at + 2)];
}

function Loading() {
  return (
    <ul className={styles.grid} aria-busy="true" aria-label={text.store.catalogue.loading}>
      {Array.from({ length: 12 }, (_, i) => (
        <li key={i} className={styles.item}>
          <span className={styles.blank} />
          <div className={styles.words}>
            <h2>
              <Skeleton width="8rem" />
            </h2>
            <p className={styles.amount}>
              <Skeleton width="6rem" />
            </p>
          </div>
          <p className={styles.available}>
            <Skeleton width="4rem" />
          </p>
          <div className={styles.buy}>
            <Skeleton width="4rem" />
          </div>
        </li>
      ))}
    </ul>
  );
}
