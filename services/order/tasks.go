package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

const taskColumns = `id, kind, order_id, command, detail, state, created_at, updated_at`

func scanTask(row pgx.CollectableRow) (Task, error) {
	var t Task
	err := row.Scan(&t.ID, &t.Kind, &t.OrderID, &t.Command, &t.Detail, &t.State, &t.CreatedAt, &t.UpdatedAt)
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, err
}

// OpenTask opens a task, once for an order, kind and command.
func (s *Store) OpenTask(ctx context.Context, t Task) error {
	now := s.now().UTC()
	_, err := s.db.Pool().Exec(ctx, `
		INSERT INTO tasks (id, kind, order_id, command, detail, state, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (order_id, kind, command) DO NOTHING`, events.NewID("tsk"), t.Kind, t.OrderID, t.Command, t.Detail, TaskOpen, now)
	if err != nil {
		return fmt.Errorf("open task: %w", err)
	}
	return nil
}

// CloseTask records what became of a task: done, or open again with the reason.
func (s *Store) CloseTask(ctx context.Context, c Closing) error {
	return s.setTask(ctx, c.TaskID, c.State, c.Detail)
}

func (s *Store) setTask(ctx context.Context, id string, state TaskState, detail string) error {
	tag, err := s.db.Pool().Exec(ctx, `
		UPDATE tasks SET state = $2, detail = coalesce(nullif($3, ''), detail), updated_at = $4 WHERE id = $1`, id, state, detail, s.now().UTC())
	if err != nil {
		return fmt.Errorf("update task: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNoTask
	}
	return nil
}

// Task returns a task, or ErrNoTask.
func (s *Store) Task(ctx context.Context, id string) (Task, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT `+taskColumns+` FROM tasks WHERE id = $1`, id)
	if err != nil {
		return Task{}, fmt.Errorf("read task: %w", err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, scanTask)
	if errors.Is(err, pgx.ErrNoRows) {
		return Task{}, ErrNoTask
	}
	if err != nil {
		return Task{}, fmt.Errorf("read task: %w", err)
	}
	return t, nil
}

// Tasks lists tasks, newest first; state "" means all.
func (s *Store) Tasks(ctx context.Context, state TaskState, beforeTime time.Time, beforeID string, limit int) ([]Task, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT `+taskColumns+` FROM tasks WHERE ($1 = '' OR state = $1) AND (created_at, id) < ($2, $3)
		ORDER BY created_at DESC, id DESC LIMIT $4`, state, cmp.Or(beforeTime, endOfTime), beforeID, limit)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanTask)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return list, nil
}
