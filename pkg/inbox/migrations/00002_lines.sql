-- +goose Up
-- A key of a consumer that is parked: its row is what transactions of the key
-- wait for.
CREATE TABLE inbox_lines (
    consumer text  NOT NULL,
    key      bytea NOT NULL,
    PRIMARY KEY (consumer, key)
);
-- The messages of parked keys, in the order in which they take effect.
CREATE TABLE inbox_waiting (
    consumer  text        NOT NULL,
    key       bytea       NOT NULL,
    seq       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    topic     text        NOT NULL, -- where it was read first
    part      integer     NOT NULL,
    at_offset bigint      NOT NULL,
    record    jsonb       NOT NULL, -- what it takes to handle it
    refused   text        NOT NULL, -- why it was given up itself; empty: it only waits
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, key, seq),
    UNIQUE (consumer, topic, part, at_offset),
    FOREIGN KEY (consumer, key) REFERENCES inbox_lines
);

-- +goose Down
DROP TABLE inbox_waiting;
DROP TABLE inbox_lines;
