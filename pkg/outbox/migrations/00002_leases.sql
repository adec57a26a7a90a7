-- +goose Up
-- A relay lives while the connection lives that it works with, and from since to
-- until by this server's clock, whichever ends first.
CREATE TABLE outbox_relays (
    relay   text        PRIMARY KEY,
    pid     integer     NOT NULL,
    started timestamptz NOT NULL,
    since   timestamptz NOT NULL,
    until   timestamptz NOT NULL
);

-- A shard is sent by its owner. Every change of the owner is a new epoch, and a
-- position is stored only in the epoch in which it was read.
ALTER TABLE outbox_cursors ADD COLUMN owner text, ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- What Kafka refused for good, and what came after it under the same key. A person
-- releases or discards it.
CREATE TABLE outbox_parked (
    seq        bigint      PRIMARY KEY,
    shard      smallint    NOT NULL,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    headers    jsonb       NOT NULL,
    payload    bytea       NOT NULL,
    reason     text        NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    released   boolean     NOT NULL DEFAULT false
);
CREATE INDEX outbox_parked_key ON outbox_parked (topic, key, seq);

-- +goose Down
DROP TABLE outbox_parked, outbox_relays;
ALTER TABLE outbox_cursors DROP COLUMN owner, DROP COLUMN epoch;
