-- +goose Up
-- Positions of orders that are not on their way yet; no key, because an order may
-- have a product twice.
CREATE TABLE placed_lines (
    order_id text NOT NULL,
    day      date NOT NULL,
    sku      text NOT NULL,
    currency char(3) NOT NULL,
    units    bigint NOT NULL,
    revenue  bigint NOT NULL
);
CREATE INDEX placed_lines_order ON placed_lines (order_id);

CREATE TABLE products_daily (
    day      date NOT NULL,
    sku      text NOT NULL,
    currency char(3) NOT NULL,
    units    bigint NOT NULL,
    revenue  bigint NOT NULL,
    PRIMARY KEY (day, sku, currency)
);

-- Facts come in about the order of their time.
CREATE INDEX facts_at ON facts USING brin (at) WITH (pages_per_range = 16, autosummarize = on);

-- +goose Down
DROP INDEX facts_at;
DROP TABLE products_daily, placed_lines;
