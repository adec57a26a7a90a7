/** A fact, as the server pushes it. */
export interface Change {
  /** The Kafka topic that the fact is on. */
  topic: string;
  /** The aggregate it is about: an order's id on `orders`, a payment's on `payments`. */
  key: string;
  /** Counts the facts of (topic, key) from 1. */
  version: number;
  event_type: string;
  event_id: string;
  at: string;
  /** Present for every fact on an order's way. */
  order_id?: string;
  data?: unknown;
}

/** First message of every connection. `reset`: the resume token was too old, so changes may be lost. */
export interface Hello {
  type: 'hello';
  token: string;
  reset: boolean;
}

export interface Changes {
  type: 'changes';
  token: string;
  items: Change[];
}

export type Message = Hello | Changes;

/** Reads a message; undefined for what a newer server may say and we do not know. */
export function parseMessage(raw: string): Message | undefined {
  let message: unknown;
  try {
    message = JSON.parse(raw);
  } catch {
    return undefined;
  }
  if (!isRecord(message) || typeof message.token !== 'string') return undefined;
  switch (message.type) {
    case 'hello':
      return { type: 'hello', token: message.token, reset: message.reset === true };
    case 'changes':
      return Array.isArray(message.items) ? { type: 'changes', token: message.token, items: message.items.filter(isChange) } : undefined;
    default:
      return undefined;
  }
}

function isChange(value: unknown): value is Change {
  return (
    isRecord(value) &&
    typeof value.topic === 'string' &&
    typeof value.key === 'string' &&
    typeof value.version === 'number' &&
    typeof value.event_type === 'string' &&
    typeof value.at === 'string'
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
