-- +goose Up
-- What an order's first command was caused by, and its trace: facts that no command
-- tells (an answer that the sweeper finds, money that it moves back) belong to them too.
ALTER TABLE payments ADD COLUMN caused_by text NOT NULL DEFAULT '', ADD COLUMN traceparent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE payments DROP COLUMN caused_by, DROP COLUMN traceparent;
