// How responsive a page is: what its frames and tasks took.

/** Begins to watch; the returned function says what was longest since, in milliseconds. */
export async function watchFrames(page) {
  await page.evaluate(() => {
    const seen = (globalThis.seen = { frame: 0, task: 0, frames: 0, over: 0 });
    let last = performance.now();
    const frame = (now) => {
      const took = now - last;
      last = now;
      seen.frames++;
      seen.frame = Math.max(seen.frame, took);
      if (took > 100) seen.over++;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame((now) => {
      last = now;
      requestAnimationFrame(frame);
    });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) seen.task = Math.max(seen.task, duration);
    }).observe({ type: 'longtask' });
  });
  return async () => {
    const { frame, task, frames, over } = await page.evaluate(() => globalThis.seen);
    return { frame: Math.round(frame), task: Math.round(task), frames, over };
  };
}

/** What was seen, in words. */
export function describeFrames({ frame, task, frames, over }) {
  return `longest of ${frames} frames ${frame} ms (${over} over 100 ms), longest task ${task} ms`;
}
