// Words that every page shares.

const partName: Record<string, string> = {
  temporal: 'The saga engine',
  kafka: 'Kafka',
  nats: 'NATS',
  redis: 'Redis',
  postgres: 'Postgres',
  smtp: 'The mail server',
  order: 'The order service',
  inventory: 'The inventory service',
  payment: 'The payment service',
  notification: 'The notification service',
  analytics: 'The analytics service',
  provider: 'The payment provider',
  courier: 'The courier',
};

const partState: Record<string, (detail: string) => string> = {
  building: (detail) => (detail ? `is still being built — ${detail}` : 'is still being built'),
  starting: (detail) => (detail ? `is starting — ${detail}` : 'is starting'),
  down: (detail) => (detail ? `is away — ${detail}` : 'is away'),
};

export const shared = {
  product: 'Cartwheel',
  title: (page: string) => `${page} · Cartwheel`,
  nav: {
    label: 'Main',
    skip: 'Skip to content',
    open: 'Open navigation',
    close: 'Close navigation',
    console: 'Console',
    storefront: 'Storefront',
    api: 'API',
    orders: 'Orders',
  },
  theme: { label: 'Theme', names: { system: 'System', light: 'Light', dark: 'Dark' } },
  dialog: { keep: 'Not now', pending: 'One moment …' },
  toast: { close: 'Dismiss' },
  chart: { table: 'As a table' },
  code: { label: 'Raw data', copy: 'Copy', copied: 'Copied' },

  live: {
    open: 'Live',
    openHint: { socket: 'Changes arrive as they happen, over a WebSocket', stream: 'Changes arrive as they happen, over server-sent events' },
    connecting: 'Connecting',
    interrupted: 'Interrupted',
  },
  away: {
    server: 'The server does not answer.',
    push: 'Live updates are interrupted.',
    kept: 'What you see may be out of date.',
    retryIn: (seconds: number) => `Next try in ${seconds} s.`,
    trying: 'Connecting …',
    retry: 'Try now',
  },
  unready: {
    label: 'What is missing',
    part: (name: string, state: string | undefined, detail: string | undefined) => {
      const say = partState[state ?? 'down'];
      const what = say ? say(detail ?? '') : [`is ${state ?? ''}`, detail].filter(Boolean).join(' — ');
      return `${partName[name] ?? name} ${what}.`;
    },
    starting: 'The shop is starting.',
    ordersWait: 'Orders are accepted and wait.',
  },

  time: {
    justNow: 'just now',
    secondsAgo: (n: number) => `${n} s ago`,
    minutesAgo: (n: number) => `${n} min ago`,
    hoursAgo: (n: number) => `${n} h ago`,
    daysAgo: (n: number) => `${n} d ago`,
    left: (h: number, min: number, s: number) => (h > 0 ? `${h} h ${min} min` : min > 0 ? `${min} min ${s} s` : `${s} s`),
  },

  errors: {
    unreachable: 'The server does not answer. It may be restarting.',
    unexpected: 'Something went wrong in this page.',
    retry: 'Try again',
    /** What a person can make of a stable error code; other codes speak for themselves in their detail. */
    byCode: {
      order_state: 'The order has gone too far for that. It is on its way, or already at its end.',
      saga_unavailable: 'The saga engine is not there at the moment. Try again shortly.',
      service_unavailable: 'A service is not there at the moment. Try again shortly.',
    } as Record<string, string>,
    crashed: 'This page has failed',
    crashedHint: 'Reloading usually helps. The error was:',
    reload: 'Reload',
  },

  notFound: { title: 'There is no such page', hint: (path: string) => `Nothing is at ${path}.`, orders: 'Go to orders', shop: 'Go to the shop' },
};
