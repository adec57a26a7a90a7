-- +goose Up
-- The event that the mail is due to, and its trace: the facts about the mail belong to both.
ALTER TABLE emails ADD COLUMN caused_by text NOT NULL DEFAULT '', ADD COLUMN traceparent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE emails DROP COLUMN caused_by, DROP COLUMN traceparent;
