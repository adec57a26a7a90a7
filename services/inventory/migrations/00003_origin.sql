-- +goose Up
-- What an order's first command was caused by, and its trace: facts that no command
-- tells (a delivery, an expiry) belong to them too.
ALTER TABLE reservations ADD COLUMN caused_by text NOT NULL DEFAULT '', ADD COLUMN traceparent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE reservations DROP COLUMN caused_by, DROP COLUMN traceparent;
