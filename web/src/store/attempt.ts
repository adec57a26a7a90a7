import type { PlaceRequest } from '../api/schema';
import { ApiError } from '../api/client';
import { placeOrder } from '../api/orders';

/** An order that was sent, under the key it was sent with. */
export interface Attempt {
  readonly key: string;
  readonly body: PlaceRequest;
}

const storage = 'cartwheel.attempt';

/** What holds the attempt where the browser has no storage for us. */
let held: Attempt | undefined;

/**
 * The attempt whose end is not known: it was sent, and the answer got lost. It
 * must be sent again as it is, or the visitor may buy twice; so it is kept
 * through reloads until the server has said what became of it.
 */
export function pendingAttempt(): Attempt | undefined {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(storage) ?? 'null');
    return isAttempt(stored) ? stored : held;
  } catch {
    return held;
  }
}

/** Begins an attempt, or goes on with the one whose end is not known. */
export function begin(body: PlaceRequest): Attempt {
  const attempt = pendingAttempt() ?? { key: crypto.randomUUID(), body };
  try {
    localStorage.setItem(storage, JSON.stringify(attempt));
  } catch {
    held = attempt; // a reload forgets it, the page does not
  }
  return attempt;
}

/** Sends an attempt. Its end is known afterwards, unless this throws what isUnknown says yes to. */
export async function send({ key, body }: Attempt): Promise<string> {
  try {
    const { order_id: id } = await placeOrder(key, body);
    forget();
    return id;
  } catch (error) {
    if (!isUnknown(error)) forget(); // a refused order was not placed
    throw error;
  }
}

/** Whether an error leaves open what became of the order. */
export function isUnknown(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status >= 500 || error.code === 'idempotency_key_in_flight';
}

function forget(): void {
  held = undefined;
  try {
    localStorage.removeItem(storage);
  } catch {
    // nothing was stored
  }
}

function isAttempt(value: unknown): value is Attempt {
  return typeof value === 'object' && value !== null && 'key' in value && typeof value.key === 'string' && 'body' in value && typeof value.body === 'object';
}
