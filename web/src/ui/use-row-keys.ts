import type { RefObject } from 'react';
import { useEffect } from 'react';

/**
 * j and k go from row to row of a table, from anywhere on the page where nothing
 * is typed; the arrows do too, inside the table. Enter is the row's own.
 */
export function useRowKeys(table: RefObject<HTMLElement | null>, count: number): void {
  useEffect(() => {
    const move = (event: KeyboardEvent) => {
      const root = table.current;
      if (!root || count === 0 || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target instanceof Element ? event.target : document.body;
      if (target.closest('input, textarea, select, [contenteditable], [role=dialog], [role=alertdialog], [role=menu], [role=listbox]')) return;
      const step = stepOf(event.key, root.contains(target));
      if (step === 0) return;
      const rows = [...root.querySelectorAll<HTMLElement>('[data-row]')];
      const at = rows.findIndex((r) => r.closest('tr')?.contains(document.activeElement));
      const next = rows[at < 0 ? firstInSight(rows) : Math.min(rows.length - 1, Math.max(0, at + step))];
      if (!next) return;
      event.preventDefault();
      next.focus();
    };
    document.addEventListener('keydown', move);
    return () => document.removeEventListener('keydown', move);
  }, [table, count]);
}

function stepOf(key: string, inside: boolean): -1 | 0 | 1 {
  if (key === 'j' || (inside && key === 'ArrowDown')) return 1;
  if (key === 'k' || (inside && key === 'ArrowUp')) return -1;
  return 0;
}

/** Where to begin; nowhere, while the rows where the page was just scrolled to are not rendered yet. */
function firstInSight(rows: readonly HTMLElement[]): number {
  const first = rows.findIndex((r) => r.getBoundingClientRect().top >= 0);
  const row = rows[first];
  const inSight = row && (row.getBoundingClientRect().top < window.innerHeight || row.closest('tr')?.dataset.index === '0');
  return inSight ? first : -1;
}
