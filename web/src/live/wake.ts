/** A timer that comes this late was not late: the machine or the page was asleep. */
const asleep = 10_000;
const every = 2_000;

interface Listener {
  /** The page ran on after a sleep, or the network came back: connections may be dead without knowing it. */
  woke: () => void;
  /** Somebody looks at the page again. */
  seen: () => void;
}

/** Watches for the end of a sleep of the page, its machine or its network. Returns a function that ends it. */
export function onWake({ woke, seen }: Listener): () => void {
  let last = Date.now();
  let slept = false;
  // A hidden page's timers are slow as well: what that means is asked when it is seen.
  const check = () => {
    const now = Date.now();
    slept ||= now - last > every + asleep;
    last = now;
    if (!slept || document.visibilityState !== 'visible') return;
    slept = false;
    woke();
  };
  const visible = () => {
    if (document.visibilityState !== 'visible') return;
    check();
    seen();
  };
  const timer = setInterval(check, every);
  document.addEventListener('visibilitychange', visible);
  document.addEventListener('resume', check);
  window.addEventListener('online', woke);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', visible);
    document.removeEventListener('resume', check);
    window.removeEventListener('online', woke);
  };
}
