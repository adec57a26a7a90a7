import type { ApiError } from '../api/client';
import type { PlaceRequest } from '../api/schema';
import type { Lines } from './basket';

/** What a visitor fills in, by the JSON pointer of the field in the request: the API names what is wrong by it. */
export const fields = {
  name: '/customer/name',
  email: '/customer/email',
  line1: '/customer/address/line1',
  postcode: '/customer/address/postcode',
  city: '/customer/address/city',
  country: '/customer/address/country',
  card: '/payment_token',
} as const;

export type Field = keyof typeof fields;
export type Form = Record<Field, string>;

export const emptyForm: Form = { name: '', email: '', line1: '', postcode: '', city: '', country: 'GB', card: 'tok_visa' };

export function requestOf(form: Form, lines: Lines): PlaceRequest {
  const { name, email, line1, postcode, city, country, card } = form;
  return {
    customer: { name: name.trim(), email: email.trim(), address: { line1: line1.trim(), postcode: postcode.trim(), city: city.trim(), country } },
    lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
    payment_token: card,
  };
}

export function formOf({ customer: { name, email, address }, payment_token: card }: PlaceRequest): Form {
  return { name, email, line1: address.line1, postcode: address.postcode, city: address.city, country: address.country, card };
}

export interface Wrong {
  /** By the field that caused it. */
  fields: Partial<Record<Field, string>>;
  /** By SKU, for lines of the basket. */
  lines: ReadonlyMap<string, string>;
  /** What belongs to no field here. */
  rest: readonly string[];
}

export const nothingWrong: Wrong = { fields: {}, lines: new Map(), rest: [] };

/** Sorts what the API says is wrong to where it can be put right. */
export function wrongOf(error: ApiError, request: PlaceRequest): Wrong {
  const wrong = { fields: {} as Partial<Record<Field, string>>, lines: new Map<string, string>(), rest: [] as string[] };
  for (const { pointer, detail } of error.errors) {
    const field = (Object.keys(fields) as Field[]).find((f) => fields[f] === pointer);
    const line = /^\/lines\/(\d+)(\/|$)/.exec(pointer);
    const sku = line && request.lines[Number(line[1])]?.sku;
    if (field) wrong.fields[field] ??= detail;
    else if (sku) wrong.lines.set(sku, detail);
    else wrong.rest.push(`${pointer} ${detail}`);
  }
  return wrong;
}
