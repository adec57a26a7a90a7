import { useWindowVirtualizer } from '@tanstack/react-virtual';
import type { RefObject } from 'react';
import { useEffect, useState } from 'react';

/** Fewer rows than this are all rendered: simpler, and a browser's own search finds them. */
const few = 150;
const estimate = 38;

interface Rows {
  /** Those to render. */
  items: readonly number[];
  /** The height of those that are not, above and below. */
  before: number;
  after: number;
  measure: (element: HTMLElement | null) => void;
}

/** Which of many rows of a table that scrolls with the page have to be rendered. */
export function useVirtualRows(table: RefObject<HTMLElement | null>, count: number, keyOf: (index: number) => string | number): Rows {
  const enabled = count > few;
  const [margin, setMargin] = useState(0);
  useEffect(() => {
    if (!enabled) return undefined;
    // What is above the table may come and go: banners, a filter that wraps.
    const observer = new ResizeObserver(() => setMargin((table.current?.getBoundingClientRect().top ?? 0) + window.scrollY));
    observer.observe(document.body);
    return () => observer.disconnect();
  }, [enabled, table]);
  const virtualizer = useWindowVirtualizer({ count, enabled, estimateSize: () => estimate, getItemKey: keyOf, overscan: 12, scrollMargin: margin });
  if (!enabled) return { items: Array.from({ length: count }, (_, i) => i), before: 0, after: 0, measure: ignore };
  const items = virtualizer.getVirtualItems();
  const [first, last] = [items[0], items.at(-1)];
  return {
    items: items.map((i) => i.index),
    before: first ? first.start - margin : 0,
    after: last ? virtualizer.getTotalSize() - (last.end - margin) : 0,
    measure: virtualizer.measureElement,
  };
}

function ignore(): void {
  // all rows are rendered, nobody asks how high they are
}
