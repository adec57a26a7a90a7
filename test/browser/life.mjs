// A shop that looks lived in, for pictures of it.
import { call, inStock, largeOrder, place, until } from './shop.mjs';

const shoppers = [
  ['Ada Lovelace', 'tok_visa'],
  ['Grace Hopper', 'tok_visa'],
  ['Katherine Johnson', 'tok_declined'],
  ['Hedy Lamarr', 'tok_visa'],
  ['Radia Perlman', 'tok_visa'],
  ['Lise Meitner', 'tok_timeout_once'],
  ['Barbara Liskov', 'tok_visa'],
  ['Mary Somerville', 'tok_capture_fails'],
  ['Annie Easley', 'tok_visa'],
  ['Sophie Germain', 'tok_visa'],
  ['Frances Allen', 'tok_insufficient_funds'],
  ['Ida Rhodes', 'tok_visa'],
  ['Emmy Noether', 'tok_visa'],
  ['Jean Bartik', 'tok_visa'],
  ['Chien-Shiung Wu', 'tok_visa'],
  ['Joan Clarke', 'tok_visa'],
];

/** Lets shoppers in, each with a basket of one to four things, and two whom a person has to approve; and waits until the others' orders are at their end. */
export async function liven() {
  const products = await inStock();
  const ids = [];
  for (const [i, [name, token]] of shoppers.entries()) {
    const lines = Array.from({ length: 1 + (i % 4) }, (_, n) => ({ sku: products[(i * 5 + n * 7) % products.length].sku, quantity: 1 + ((i + n) % 3) }));
    const cheap = lines.filter((l, n) => lines.findIndex((o) => o.sku === l.sku) === n && products.find((p) => p.sku === l.sku).price.amount < 6_000);
    ids.push(await place({ name, token, lines: cheap.length > 0 ? cheap : [{ sku: 'green-tea', quantity: 2 }] }));
  }
  for (const id of ids) await until(async () => ['completed', 'rejected'].includes((await call('GET', `/api/orders/${id}`)).status));
  for (const name of ['Margaret Hamilton', 'Dorothy Vaughan']) await largeOrder({ name });
  for (const [name, token] of [['Evelyn Boyd', 'tok_visa'], ['Mileva Marić', 'tok_slow']]) await place({ name, token, lines: [{ sku: 'espresso-beans', quantity: 2 }] });
}
