-- +goose Up
-- What an order waits for whose total is above the threshold, and what a person
-- decided.
ALTER TABLE orders ADD COLUMN approval jsonb;

-- +goose Down
ALTER TABLE orders DROP COLUMN approval;
