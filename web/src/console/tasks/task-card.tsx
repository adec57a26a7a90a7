import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import type { Task } from '../../api/tasks';
import { closeTask, retryTask } from '../../api/tasks';
import { text } from '../../text';
import type { Tone } from '../../ui/badge';
import { Badge } from '../../ui/badge';
import { Button } from '../../ui/button';
import { ConfirmDialog } from '../../ui/confirm-dialog';
import { explain } from '../../ui/state';
import { Ago } from '../../ui/time';
import styles from './tasks-page.module.css';

const t = text.tasks;
const tones: Record<Task['state'], Tone> = { open: 'warn', retrying: 'info', done: 'good' };

/** Something that waits for a person, and what the person can do. */
export function TaskCard({ task }: { task: Task }) {
  const queries = useQueryClient();
  const [asking, setAsking] = useState(false);
  const onSettled = () => queries.invalidateQueries({ queryKey: ['tasks'] });
  const retry = useMutation({ mutationFn: () => retryTask(task.id), onSettled });
  const done = useMutation({ mutationFn: () => closeTask(task.id), onSettled, onSuccess: () => setAsking(false) });
  return (
    <li className={styles.task}>
      <div className={styles.head}>
        <h2>{t.kind[task.kind]}</h2>
        <Badge tone={tones[task.state]} open={task.state === 'retrying'}>
          {t.state[task.state]}
        </Badge>
        {task.state !== 'done' && (
          <span className={styles.actions}>
            {task.kind !== 'delivery_overdue' && (
              <Button size="small" disabled={retry.isPending || task.state === 'retrying'} onClick={() => retry.mutate()}>
                {t.retry}
              </Button>
            )}
            <Button size="small" onClick={() => setAsking(true)}>
              {t.done}
            </Button>
          </span>
        )}
      </div>
      <p className={styles.detail}>
        {task.command && <code>{task.command}</code>} {task.detail}
      </p>
      <p className={styles.facts}>
        {task.order_id !== '' && (
          <Link to={`/orders/${task.order_id}`}>
            {t.order} {task.order_id}
          </Link>
        )}
        <span>
          {t.opened} <Ago at={task.created_at} />
        </span>
        {task.updated_at !== task.created_at && (
          <span>
            {t.changed} <Ago at={task.updated_at} />
          </span>
        )}
      </p>
      {retry.isError && (
        <p className={styles.note} data-tone="bad" role="alert">
          <strong>{t.actionFailed}</strong> {explain(retry.error)}
        </p>
      )}
      {retry.isSuccess && task.state === 'retrying' && (
        <p className={styles.note} data-tone="info" role="status">
          {t.retryAsked[task.kind]}
        </p>
      )}
      <ConfirmDialog
        open={asking}
        onClose={() => {
          done.reset();
          setAsking(false);
        }}
        title={t.doneTitle}
        confirm={t.done}
        pending={done.isPending}
        error={done.error}
        onConfirm={() => done.mutate()}
      >
        <p>{t.doneQuestion[task.kind]}</p>
      </ConfirmDialog>
    </li>
  );
}
