-- +goose Up
CREATE TABLE emails (
    id                 text PRIMARY KEY,
    order_id           text NOT NULL,
    kind               text NOT NULL,
    state              text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
    attempts           int NOT NULL DEFAULT 0,
    message_id         text NOT NULL,
    possible_duplicate boolean NOT NULL DEFAULT false,
    details            jsonb NOT NULL,
    error              text NOT NULL DEFAULT '',
    created_at         timestamptz NOT NULL,
    next_at            timestamptz NOT NULL,
    claimed_at         timestamptz,
    sent_at            timestamptz,
    UNIQUE (order_id, kind)
);
CREATE INDEX emails_due ON emails (next_at) WHERE state IN ('queued', 'sending');

-- +goose Down
DROP TABLE emails;
