import { useMutation } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useNavigate } from 'react-router';
import { ApiError } from '../api/client';
import { formatMoney } from '../format/money';
import { text } from '../text';
import { Button, ButtonLink } from '../ui/button';
import { TextField } from '../ui/field';
import { PageHeader } from '../ui/page-header';
import { SelectField } from '../ui/select-field';
import { Skeleton } from '../ui/skeleton';
import { Empty, explain } from '../ui/state';
import type { Attempt } from './attempt';
import { begin, isUnknown, pendingAttempt, send } from './attempt';
import { basket } from './basket';
import { Cards } from './cards';
import styles from './checkout-page.module.css';
import { countries } from './countries';
import type { Field, Form } from './form';
import { emptyForm, formOf, nothingWrong, requestOf, wrongOf } from './form';
import { remember } from './my-orders';
import { usePricedBasket } from './priced';

const retries = 4;

/** /checkout: who, where and with which card. */
export function CheckoutPage() {
  const { lines, priced, sum } = usePricedBasket();
  const [left] = useState(pendingAttempt); // by an earlier visit, before a reload
  const [form, setForm] = useState<Form>(left ? formOf(left.body) : emptyForm);
  const root = useRef<HTMLFormElement>(null);
  const navigate = useNavigate();

  const place = useMutation({
    mutationFn: (attempt: Attempt) => send(attempt),
    // The same key and body each time: however often it arrives, it is one order.
    retry: (failures, error) => failures < retries && isUnknown(error),
    retryDelay: (failures) => 400 * 2 ** failures,
    onSuccess: (id) => {
      remember(id);
      basket.clear();
      void navigate(`/track/${encodeURIComponent(id)}`, { replace: true });
    },
  });
  useEffect(() => {
    if (place.error) root.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [place.error]);
  const open = place.isError ? isUnknown(place.error) : left !== undefined && place.isIdle;
  const wrong = place.error instanceof ApiError && !open ? wrongOf(place.error, place.variables?.body ?? requestOf(form, lines)) : nothingWrong;
  const frozen = open || place.isPending || place.isSuccess;
  const submit = () => {
    if (!place.isPending && !place.isSuccess) place.mutate(begin(requestOf(form, lines)));
  };

  if (lines.length === 0 && !place.isPending && !place.isSuccess && !open) {
    return (
      <>
        <PageHeader title={text.store.checkout.title} />
        <Empty title={text.store.basket.empty}>
          <p>{text.store.basket.emptyHint}</p>
          <ButtonLink to="/" look="primary">
            {text.store.basket.shop}
          </ButtonLink>
        </Empty>
      </>
    );
  }

  const field = (name: Field) => ({
    label: text.store.checkout.fields[name],
    name,
    value: form[name],
    error: wrong.fields[name],
    disabled: frozen,
    onChange: (value: string) => setForm((f) => ({ ...f, [name]: value })),
  });
  return (
    <>
      <PageHeader title={text.store.checkout.title} back={{ to: '/basket', label: text.store.basket.title }} />
      <form
        ref={root}
        className={styles.columns}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <div className={styles.parts}>
          <fieldset className={styles.part}>
            <legend>{text.store.checkout.who}</legend>
            <TextField {...field('name')} autoComplete="name" maxLength={200} />
            <TextField {...field('email')} type="email" autoComplete="email" inputMode="email" hint={text.store.checkout.emailHint} />
          </fieldset>
          <fieldset className={styles.part}>
            <legend>{text.store.checkout.where}</legend>
            <TextField {...field('line1')} autoComplete="address-line1" />
            <div className={styles.pair}>
              <TextField {...field('postcode')} autoComplete="postal-code" />
              <TextField {...field('city')} autoComplete="address-level2" />
            </div>
            <SelectField {...field('country')} options={countries} />
          </fieldset>
          <fieldset className={styles.part}>
            <legend>{text.store.checkout.card}</legend>
            <p className={styles.hint}>{text.store.checkout.cardHint}</p>
            <Cards value={form.card} disabled={frozen} onChange={field('card').onChange} />
            {wrong.fields.card && <p role="alert">{wrong.fields.card}</p>}
          </fieldset>
        </div>

        <aside className={styles.summary} aria-label={text.store.basket.summary}>
          <h2>{text.store.basket.summary}</h2>
          <ul>
            {(priced ?? []).map((l) => (
              <li key={l.sku}>
                <span className={styles.quantity}>{l.quantity} ×</span>
                <span className={styles.product}>
                  <bdi>{l.product?.name ?? l.sku}</bdi>
                  {wrong.lines.has(l.sku) && (
                    <span className={styles.lineTrouble} role="alert">
                      {text.store.checkout.line(wrong.lines.get(l.sku) ?? '')}
                    </span>
                  )}
                </span>
                <span>{l.total && formatMoney(l.total)}</span>
              </li>
            ))}
          </ul>
          <p className={styles.total}>
            <span>{text.store.basket.total}</span>
            <span>{sum ? formatMoney(sum) : <Skeleton width="4rem" />}</span>
          </p>
          {wrong.lines.size > 0 && <ButtonLink to="/basket">{text.store.checkout.toBasket}</ButtonLink>}
          {place.isError && !open && (
            <div role="alert" className={styles.refused} data-tone="bad">
              <strong>{text.store.checkout.refused}</strong> {explain(place.error)}
              {wrong.rest.map((r) => (
                <span key={r}>{r}</span>
              ))}
            </div>
          )}
          {open && !place.isPending && (
            <div role="alert" className={styles.refused} data-tone="warn">
              <strong>{text.store.checkout.unknown}</strong> {text.store.checkout.unknownHint}
            </div>
          )}
          <Button type="submit" look="primary" size="large" aria-disabled={place.isPending || place.isSuccess}>
            {place.isPending || place.isSuccess
              ? place.failureCount > 0
                ? text.store.checkout.again
                : text.store.checkout.pending
              : open
                ? text.store.checkout.retry
                : text.store.checkout.place}
          </Button>
          <p className={styles.hint}>{text.store.checkout.once}</p>
        </aside>
      </form>
    </>
  );
}
