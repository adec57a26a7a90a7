-- +goose Up
-- Every fact that was ever read, without its body: where it is in Kafka, and
-- what it belongs to.
CREATE TABLE facts (
    event_id       text PRIMARY KEY,
    topic          text NOT NULL,
    partition      int NOT NULL,
    "offset"       bigint NOT NULL,
    key            text NOT NULL,
    version        bigint NOT NULL,
    type           text NOT NULL,
    at             timestamptz NOT NULL,
    correlation_id text NOT NULL,
    causation_id   text NOT NULL,
    trace_id       text NOT NULL,
    producer       text NOT NULL
);
CREATE INDEX facts_correlation ON facts (correlation_id) WHERE correlation_id <> '';

-- Per key: how many facts were read, the newest version, and how often a version
-- was not the one after the newest.
CREATE TABLE fact_keys (
    topic    text     NOT NULL,
    key      text     NOT NULL,
    shard    smallint NOT NULL,
    seen     bigint   NOT NULL,
    newest   bigint   NOT NULL,
    disorder bigint   NOT NULL,
    PRIMARY KEY (topic, key)
) WITH (fillfactor = 80);

CREATE TABLE sales_daily (
    day      date NOT NULL,
    currency char(3) NOT NULL,
    orders   bigint NOT NULL,
    units    bigint NOT NULL,
    revenue  bigint NOT NULL,
    PRIMARY KEY (day, currency)
);

-- How far a telemetry stream was read; moved by compare-and-set together with
-- what the batch adds.
CREATE TABLE stream_positions (
    stream text PRIMARY KEY,
    seq    bigint NOT NULL
);

CREATE TABLE sensors (
    sensor     text PRIMARY KEY,
    site       text NOT NULL,
    zone       text NOT NULL,
    device     text NOT NULL,
    unit       text NOT NULL,
    frame      bigint NOT NULL,
    newest_at  timestamptz NOT NULL,
    last_value double precision NOT NULL,
    seen_at    timestamptz NOT NULL
);

CREATE TABLE windows (
    sensor   text NOT NULL REFERENCES sensors,
    start    timestamptz NOT NULL,
    count    bigint NOT NULL,
    min      double precision NOT NULL,
    max      double precision NOT NULL,
    sum      double precision NOT NULL,
    last     double precision NOT NULL,
    last_at  timestamptz NOT NULL,
    revision int NOT NULL DEFAULT 0,
    PRIMARY KEY (sensor, start)
);
CREATE INDEX windows_open ON windows (sensor) WHERE revision = 0;

CREATE TABLE anomalies (
    sensor   text NOT NULL REFERENCES sensors,
    at       timestamptz NOT NULL,
    rule     text NOT NULL,
    value    double precision NOT NULL,
    "limit"  double precision NOT NULL,
    severity text NOT NULL,
    detail   text NOT NULL,
    PRIMARY KEY (sensor, rule, at)
);

-- +goose Down
DROP TABLE anomalies, windows, sensors, stream_positions, sales_daily, fact_keys, facts;
