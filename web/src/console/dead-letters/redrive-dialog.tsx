import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Report } from '../../api/dead-letters';
import { redrive } from '../../api/dead-letters';
import type { RedriveBody } from '../../api/schema';
import { text } from '../../text';
import { ConfirmDialog } from '../../ui/confirm-dialog';
import { explain } from '../../ui/state';
import { useToast } from '../../ui/toast';
import styles from './dead-letters.module.css';

const t = text.deadLetters;

interface Props {
  select: RedriveBody;
  many?: boolean;
  onClose: () => void;
  onDone?: () => void;
}

/** Says what a redrive would do, by a dry run, and does it when that is wanted. */
export function RedriveDialog({ select, many = false, onClose, onDone }: Props) {
  const queries = useQueryClient();
  const toast = useToast();
  const [force, setForce] = useState(false);
  const body = force ? { ...select, force } : select;
  const dry = useQuery({ queryKey: ['redrive', 'dry-run', body], queryFn: () => redrive({ ...body, dry_run: true }), gcTime: 0, retry: false });
  const go = useMutation({
    mutationFn: () => redrive(body),
    onSettled: () => queries.invalidateQueries({ queryKey: ['dead-letters'] }),
    onSuccess: (report) => {
      onDone?.();
      if (many) return; // the dialog says what it did, letter by letter
      const done = counted(report).get('redriven') ?? 0;
      const others = sentences(report).filter((s) => s !== t.outcome('redriven', done));
      toast({ title: done > 0 ? t.outcome('redriven', done) : t.refused, detail: [...others, ...(done > 0 ? [t.doneDetail] : [])].join('. '), tone: done > 0 ? 'good' : 'warn' });
      onClose();
    },
  });
  if (many && go.data) {
    return (
      <ConfirmDialog open onClose={onClose} title={t.reportTitle} confirm={t.close} keep={null} onConfirm={onClose}>
        <Outcomes report={go.data} />
        {(counted(go.data).get('redriven') ?? 0) > 0 && <p className={styles.dry}>{t.doneDetail}</p>}
      </ConfirmDialog>
    );
  }
  const would = dry.data ? (counted(dry.data).get('would_redrive') ?? 0) : 0;
  const held = dry.data ? dry.data.items.length - would : 0;
  return (
    <ConfirmDialog
      open
      onClose={onClose}
      title={t.dialogTitle(many)}
      confirm={t.confirm(would)}
      pending={go.isPending}
      error={go.error ?? (dry.isError ? dry.error : undefined)}
      onConfirm={() => {
        if (would > 0) go.mutate();
      }}
    >
      {dry.data ? (
        <>
          {dry.data.items.length === 0 ? <p>{t.nothing}</p> : <Outcomes report={dry.data} />}
          <p className={styles.dry}>{t.dryRun}</p>
        </>
      ) : (
        <p>{dry.isError ? explain(dry.error) : t.asking}</p>
      )}
      {(held > 0 || force) && (
        <label className={styles.force}>
          <input type="checkbox" checked={force} onChange={(event) => setForce(event.target.checked)} />
          {t.force}
        </label>
      )}
    </ConfirmDialog>
  );
}

/** What a redrive does, or did: in numbers, and letter by letter. */
function Outcomes({ report }: { report: Report }) {
  return (
    <>
      <ul className={styles.outcomes}>
        {sentences(report).map((s) => (
          <li key={s}>{s}</li>
        ))}
      </ul>
      {report.items.length > 1 ? (
        <ul className={styles.each} aria-label={t.each} tabIndex={0}>
          {report.items.map((i) => (
            <li key={i.id}>
              <code>{i.id}</code>
              <span>
                {t.one(i.outcome)}
                {i.detail && `: ${i.detail}`}
              </span>
            </li>
          ))}
        </ul>
      ) : (
        report.items.map((i) => i.detail && <p key={i.id}>{i.detail}</p>)
      )}
    </>
  );
}

function counted(report: Report): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { outcome } of report.items) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return counts;
}

function sentences(report: Report): string[] {
  return [...counted(report)].map(([name, n]) => t.outcome(name, n));
}
