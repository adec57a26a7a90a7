export interface Coalesced {
  /** Asks for a run. */
  (): void;
  /** Asks for the runs that settle the result, and for none now. */
  settle: () => void;
  /** Forgets what was asked for. */
  stop: () => void;
}

export interface Pace {
  /** At least so many milliseconds from the start of one run to the next. */
  every: number;
  /**
   * Again after so many milliseconds without a request, for each of these: what
   * is shown comes from readers that may be behind the change that we were told of.
   */
  settle?: readonly number[];
}

/**
 * Turns any number of requests into as few runs as keep the result current: one
 * at a time, not more often than the pace allows, and always one that begins
 * after the last request.
 */
export function coalesce(run: () => Promise<unknown>, { every, settle: delays = [] }: Pace): Coalesced {
  let wanted = false;
  let running = false;
  let last = -Infinity;
  let next: ReturnType<typeof setTimeout> | undefined;
  let settling: ReturnType<typeof setTimeout>[] = [];

  const request = () => {
    wanted = true;
    if (running || next !== undefined) return;
    next = setTimeout(begin, Math.max(0, last + every - Date.now()));
  };
  const begin = () => {
    next = undefined;
    wanted = false;
    running = true;
    last = Date.now();
    void run()
      .catch(() => undefined) // shown where the result would be
      .then(() => {
        running = false;
        if (wanted) request();
      });
  };
  const settle = () => {
    settling.forEach(clearTimeout);
    settling = delays.map((delay) => setTimeout(request, delay));
  };
  const ask = () => {
    request();
    settle();
  };
  const stop = () => {
    wanted = false;
    clearTimeout(next);
    next = undefined;
    settling.forEach(clearTimeout);
  };
  return Object.assign(ask, { settle, stop });
}
