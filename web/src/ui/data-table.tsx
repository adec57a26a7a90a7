import type { ColumnDef, RowData } from '@tanstack/react-table';
import { createSortedRowModel, rowSortingFeature, tableFeatures, useTable } from '@tanstack/react-table';
import { ArrowDown, ArrowUp, ChevronsUpDown } from 'lucide-react';
import type { ReactNode } from 'react';
import { memo, useMemo, useRef } from 'react';
import { Link } from 'react-router';
import styles from './data-table.module.css';
import { Skeleton } from './skeleton';
import { useRowKeys } from './use-row-keys';
import { useVirtualRows } from './use-virtual-rows';

/** Where a cell is on a phone, which has no columns: three lines of a start and an end. */
export type Place = 'lead' | 'aside' | 'sub' | 'state' | 'start' | 'middle' | 'end' | 'hidden';

export interface Column<T> {
  id: string;
  header: string;
  cell: (row: T) => ReactNode;
  phone: Place;
  /** Makes the column sortable, by this value. */
  sortBy?: (row: T) => string | number;
  align?: 'start' | 'end';
  /** Takes the room that is left, and ends in an ellipsis where it is not enough. */
  grow?: boolean;
  look?: 'plain' | 'strong' | 'quiet' | 'mono';
  /** Of its placeholder while rows are loading. */
  skeleton?: string;
}

interface Props<T> {
  label: string;
  /** A constant, or memoised. */
  columns: readonly Column<T>[];
  /** undefined while they are loading. */
  rows: readonly T[] | undefined;
  rowId: (row: T) => string;
  /** Where a row leads: its first cell becomes the link, the whole row its area. */
  rowLink?: (row: T) => string;
  /** What a row does instead, when it leads nowhere. */
  onOpen?: (row: T) => void;
  /** The row that is open elsewhere on the page. */
  openId?: string | undefined;
  sorted?: { by: string; desc?: boolean };
  /** Makes rows selectable, each by a box in front of it. */
  selection?: Selection<T>;
}

export interface Selection<T> {
  selected: ReadonlySet<string>;
  onChange: (selected: ReadonlySet<string>) => void;
  /** Of the box that selects all rows. */
  label: string;
  labelOf: (row: T) => string;
}

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() });

/**
 * Rows and columns: sortable, with j and k or the arrows from row to row and
 * Enter to open one, and laid out as cards on a phone. Many rows are rendered only
 * where they are seen. Roles are spelled out because the layout for phones would
 * end the table otherwise.
 */
export function DataTable<T extends RowData>({ label, columns, rows, rowId, rowLink, onOpen, openId, sorted, selection }: Props<T>) {
  const data = useMemo(() => rows ?? [], [rows]);
  const definitions = useMemo(() => columns.map((c) => definition(c)), [columns]);
  const table = useTable({
    features,
    data,
    columns: definitions,
    getRowId: rowId,
    enableSortingRemoval: false,
    initialState: { sorting: sorted ? [{ id: sorted.by, desc: sorted.desc ?? false }] : [] },
  });
  const shown = table.getRowModel().rows;

  const ref = useRef<HTMLTableElement>(null);
  const { items, before, after, measure } = useVirtualRows(ref, shown.length, (index) => shown[index]?.id ?? index);
  useRowKeys(ref, shown.length);

  return (
    <div className={styles.frame}>
      <table ref={ref} className={styles.table} role="table" aria-label={label} aria-busy={!rows} aria-rowcount={rows ? shown.length + 1 : -1}>
        <thead role="rowgroup">
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} role="row" aria-rowindex={1}>
              {selection && (
                <th role="columnheader" scope="col" className={styles.select}>
                  {rows && <SelectAll ids={shown.map((r) => r.id)} selection={selection} />}
                </th>
              )}
              {group.headers.map(({ column }, i) => {
                const direction = column.getIsSorted();
                const c = columns[i];
                const Icon = direction === 'asc' ? ArrowUp : direction === 'desc' ? ArrowDown : ChevronsUpDown;
                return (
                  <th
                    key={column.id}
                    role="columnheader"
                    scope="col"
                    data-align={c?.align}
                    aria-sort={direction === 'asc' ? 'ascending' : direction === 'desc' ? 'descending' : undefined}
                  >
                    {column.getCanSort() ? (
                      <button type="button" className={styles.sort} onClick={column.getToggleSortingHandler()}>
                        {c?.header}
                        <Icon size={12} aria-hidden="true" />
                      </button>
                    ) : (
                      c?.header
                    )}
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody role="rowgroup">
          {before > 0 && <Space height={before} />}
          {items.map((index) => {
            const row = shown[index];
            if (!row) return null;
            const common = { row: row.original, columns, index, measure, open: openId === row.id };
            return <Row key={row.id} {...common} id={row.id} selection={selection} to={rowLink?.(row.original)} onOpen={onOpen} />;
          })}
          {after > 0 && <Space height={after} />}
          {!rows && skeletons(columns, selection !== undefined)}
        </tbody>
      </table>
    </div>
  );
}

function definition<T extends RowData>({ id, sortBy }: Column<T>): ColumnDef<typeof features, T> {
  return {
    id,
    accessorFn: sortBy ?? (() => ''),
    enableSorting: sortBy !== undefined,
    sortFn: (a, b) => (sortBy ? compare(sortBy(a.original), sortBy(b.original)) : 0),
  };
}

const words = new Intl.Collator(undefined, { numeric: true });

function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : words.compare(String(a), String(b));
}

interface RowProps<T> {
  row: T;
  id: string;
  selection: Selection<T> | undefined;
  columns: readonly Column<T>[];
  index: number;
  to: string | undefined;
  onOpen: ((row: T) => void) | undefined;
  open: boolean;
  measure: (element: HTMLElement | null) => void;
}

function PlainRow<T>({ row, id, selection, columns, index, to, onOpen, open, measure }: RowProps<T>) {
  const selected = selection?.selected.has(id);
  return (
    <tr
      ref={measure}
      role="row"
      className={styles.row}
      data-index={index}
      data-open={open || undefined}
      data-selectable={selection ? true : undefined}
      data-selected={selected ? true : undefined}
      aria-rowindex={index + 2}
      aria-selected={selected}
    >
      {selection && (
        <td role="cell" className={styles.select}>
          <label>
            <input type="checkbox" checked={selected} aria-label={selection.labelOf(row)} onChange={() => selection.onChange(toggled(selection.selected, id))} />
          </label>
        </td>
      )}
      {columns.map((c, i) => (
        <Cell key={c.id} column={c}>
          {i === 0 ? opener(c.cell(row), to, onOpen && (() => onOpen(row)), open) : c.cell(row)}
        </Cell>
      ))}
    </tr>
  );
}

const Row = memo(PlainRow) as typeof PlainRow;

function SelectAll<T>({ ids, selection: { selected, onChange, label } }: { ids: readonly string[]; selection: Selection<T> }) {
  const n = ids.filter((id) => selected.has(id)).length;
  const all = n > 0 && n === ids.length;
  return (
    <label>
      <input
        type="checkbox"
        aria-label={label}
        checked={all}
        ref={(box) => {
          if (box) box.indeterminate = n > 0 && !all;
        }}
        onChange={() => onChange(new Set(all ? [] : ids))}
      />
    </label>
  );
}

function toggled(selected: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const after = new Set(selected);
  if (!after.delete(id)) after.add(id);
  return after;
}

function opener(content: ReactNode, to: string | undefined, onOpen: (() => void) | undefined, open: boolean): ReactNode {
  if (to !== undefined) {
    return (
      <Link to={to} className={styles.opener} data-row>
        {content}
      </Link>
    );
  }
  if (!onOpen) return content;
  return (
    <button type="button" className={styles.opener} onClick={onOpen} aria-expanded={open} data-row>
      {content}
    </button>
  );
}

function Cell<T>({ column: { phone, align, grow, look }, children }: { column: Column<T>; children: ReactNode }) {
  return (
    <td role="cell" data-phone={phone} data-align={align} data-grow={grow} data-look={look}>
      {children}
    </td>
  );
}

/** Rows that are not rendered because they are out of sight. */
function Space({ height }: { height: number }) {
  return (
    <tr aria-hidden="true" className={styles.space}>
      <td style={{ blockSize: height }} />
    </tr>
  );
}

function skeletons<T>(columns: readonly Column<T>[], selectable: boolean) {
  return Array.from({ length: 12 }, (_, i) => (
    <tr key={i} role="row" className={styles.row} data-selectable={selectable || undefined}>
      {selectable && <td role="cell" className={styles.select} />}
      {columns.map((c) => (
        <Cell key={c.id} column={c}>
          <Skeleton width={c.skeleton ?? `${4 + ((i * 5) % 4)}rem`} />
        </Cell>
      ))}
    </tr>
  ));
}
