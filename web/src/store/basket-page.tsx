import { Trash2 } from 'lucide-react';
import { useFailure } from '../api/use-failure';
import { formatMoney } from '../format/money';
import { text } from '../text';
import { Button, ButtonLink } from '../ui/button';
import { PageHeader } from '../ui/page-header';
import { Skeleton } from '../ui/skeleton';
import { Empty, Failed } from '../ui/state';
import { basket, maxLines } from './basket';
import styles from './basket-page.module.css';
import { Picture } from './picture';
import type { PricedLine } from './priced';
import { usePricedBasket } from './priced';
import { Quantity } from './quantity';

/** /basket: what is in it, at today's price. */
export function BasketPage() {
  const { lines, priced, sum, products } = usePricedBasket();
  const failure = useFailure(products);
  return (
    <>
      <PageHeader title={text.store.basket.title} />
      {lines.length === 0 && (
        <Empty title={text.store.basket.empty}>
          <p>{text.store.basket.emptyHint}</p>
          <ButtonLink to="/" look="primary">
            {text.store.basket.shop}
          </ButtonLink>
        </Empty>
      )}
      {lines.length > 0 && failure !== undefined && (
        <Failed title={text.store.catalogue.failed} error={failure} retry={() => void products.refetch()} />
      )}
      {lines.length > 0 && failure === undefined && (
        <div className={styles.columns}>
          <ul className={styles.lines} aria-busy={!priced} aria-label={text.store.basket.title}>
            {priced ? priced.map((l) => <Line key={l.sku} line={l} />) : lines.map((l) => <Place key={l.sku} {...l} />)}
          </ul>
          <section className={styles.summary} aria-label={text.store.basket.summary}>
            <dl>
              <div>
                <dt>{text.store.basket.total}</dt>
                <dd data-testid="basket-total">{sum ? formatMoney(sum) : <Skeleton width="4rem" />}</dd>
              </div>
            </dl>
            <p>{text.store.basket.totalHint}</p>
            {lines.length > maxLines && <p role="alert">{text.store.basket.tooMany(maxLines)}</p>}
            <ButtonLink to="/checkout" look="primary" size="large">
              {text.store.basket.checkout}
            </ButtonLink>
          </section>
        </div>
      )}
    </>
  );
}

function Line({ line: { sku, quantity, product, total } }: { line: PricedLine }) {
  const name = product?.name ?? sku;
  const trouble = troubleOf(product?.available, quantity);
  return (
    <li className={styles.line}>
      <Picture product={product ?? { sku, storage: 'ambient' }} size="line" />
      <div className={styles.words}>
        <bdi className={styles.name}>{name}</bdi>
        {product && <span className={styles.each}>{text.store.basket.each(formatMoney(product.price))}</span>}
        {trouble && (
          <span className={styles.trouble} role="status">
            {trouble}
          </span>
        )}
      </div>
      <div className={styles.quantity}>
        <Quantity sku={sku} name={name} quantity={quantity} invalid={trouble !== undefined} />
      </div>
      <span className={styles.total}>{total && formatMoney(total)}</span>
      <Button className={styles.remove} look="quiet" size="small" aria-label={text.store.basket.remove(name)} onClick={() => basket.set(sku, 0)}>
        <Trash2 size={16} aria-hidden="true" />
      </Button>
    </li>
  );
}

function troubleOf(available: number | undefined, quantity: number): string | undefined {
  if (available === undefined) return text.store.basket.gone;
  if (available <= 0) return text.store.availability.none;
  return available < quantity ? text.store.availability.few(available) : undefined;
}

/** A line whose product is not known yet. */
function Place({ sku, quantity }: { sku: string; quantity: number }) {
  return (
    <li className={styles.line}>
      <Picture product={{ sku, storage: 'ambient' }} size="line" />
      <div className={styles.words}>
        <span className={styles.name}>
          <Skeleton width="9rem" />
        </span>
        <span className={styles.each}>
          <Skeleton width="5rem" />
        </span>
      </div>
      <div className={styles.quantity}>
        <Quantity sku={sku} name={sku} quantity={quantity} />
      </div>
    </li>
  );
}
