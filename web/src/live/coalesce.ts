export interface Coalesced {
  /** Asks for a run. */
  (): void;
  /** Forgets what was asked for. */
  stop: () => void;
}

export interface Pace {
  /** At least so many milliseconds from the start of one run to the next. */
  every: number;
  /**
   * Once more after so many milliseconds without a request: what is shown comes
   * from readers that may be a moment behind the change that we were told of.
   */
  settle?: number;
}

/**
 * Turns any number of requests into as few runs as keep the result current: one
 * at a time, not more often than the pace allows, and always one that begins
 * after the last request.
 */
export function coalesce(run: () => Promise<unknown>, { every, settle }: Pace): Coalesced {
  let wanted = false;
  let running = false;
  let last = -Infinity;
  let next: ReturnType<typeof setTimeout> | undefined;
  let settling: ReturnType<typeof setTimeout> | undefined;

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
  const ask = () => {
    request();
    if (settle === undefined) return;
    clearTimeout(settling);
    settling = setTimeout(request, settle);
  };
  return Object.assign(ask, {
    stop: () => {
      wanted = false;
      clearTimeout(next);
      clearTimeout(settling);
      next = undefined;
    },
  });
}
