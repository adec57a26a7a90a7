-- +goose Up
-- A sequence of its own rather than an identity column: partitioned tables have
-- those only from Postgres 17 on.
CREATE SEQUENCE outbox_seq AS bigint;

CREATE TABLE outbox (
    shard      smallint    NOT NULL,
    seq        bigint      NOT NULL DEFAULT nextval('outbox_seq'),
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    event_id   text        NOT NULL,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    headers    jsonb       NOT NULL,
    payload    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard, seq)
) PARTITION BY RANGE (seq);
CREATE INDEX outbox_xid ON outbox (xid);

-- The relay makes further partitions ahead. There is no default partition: rows
-- in it would block later ranges.
CREATE TABLE outbox_p0 PARTITION OF outbox FOR VALUES FROM (0) TO (1000000);
CREATE TABLE outbox_p1 PARTITION OF outbox FOR VALUES FROM (1000000) TO (2000000);

-- How many facts each key has: the next aggregate_version, and the lock that
-- makes the order of seq the order of commits.
CREATE TABLE outbox_keys (
    topic   text     NOT NULL,
    key     text     NOT NULL,
    shard   smallint NOT NULL,
    version bigint   NOT NULL,
    PRIMARY KEY (topic, key)
) WITH (fillfactor = 80);

-- The system identifier says in which cluster a snapshot was taken: after a dump
-- and restore its transaction ids mean nothing.
CREATE TABLE outbox_cursors (
    shard    smallint    PRIMARY KEY,
    hi       bigint      NOT NULL,
    snapshot pg_snapshot NOT NULL,
    system   bigint      NOT NULL
) WITH (fillfactor = 50);
INSERT INTO outbox_cursors
SELECT s, 0, pg_current_snapshot(), (SELECT system_identifier FROM pg_control_system()) FROM generate_series(0, 63) s;

-- The cluster that this database lives in, and the largest seq that it brought
-- from another one.
CREATE TABLE outbox_system (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    system   bigint  NOT NULL,
    base_seq bigint  NOT NULL
);
INSERT INTO outbox_system (system, base_seq) SELECT system_identifier, 0 FROM pg_control_system();

-- +goose Down
DROP TABLE outbox_system, outbox_cursors, outbox_keys, outbox;
DROP SEQUENCE outbox_seq;
