-- +goose Up
CREATE TABLE inbox (
    consumer text        NOT NULL,
    event_id text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_at ON inbox USING brin (at);

-- +goose Down
DROP TABLE inbox;
