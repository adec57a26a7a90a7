-- +goose Up
CREATE TABLE customers (
    id         text PRIMARY KEY,
    email      text NOT NULL,
    name       text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX customers_email ON customers (lower(email));

CREATE TABLE orders (
    id            text PRIMARY KEY,
    customer_id   text NOT NULL REFERENCES customers,
    channel       text NOT NULL,
    external_id   text,
    status        text NOT NULL,
    lines         jsonb NOT NULL,
    total         bigint NOT NULL CHECK (total >= 0),
    currency      char(3) NOT NULL,
    payment_token text NOT NULL,
    -- who receives this order: a copy, so that a later change of the customer
    -- does not send a parcel elsewhere
    recipient     jsonb NOT NULL,
    request_id    text NOT NULL,
    ordered_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    deadline      timestamptz NOT NULL,
    confirmed_at  timestamptz,
    shipped_at    timestamptz,
    delivered_at  timestamptz,
    ended_at      timestamptz,
    reason        text NOT NULL DEFAULT '',
    refunded      bigint NOT NULL DEFAULT 0,
    steps         jsonb NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX orders_external ON orders (channel, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX orders_created ON orders (created_at DESC, id DESC);
CREATE INDEX orders_status ON orders (status, created_at DESC, id DESC);
CREATE INDEX orders_customer ON orders (customer_id, created_at DESC, id DESC);
CREATE INDEX orders_open ON orders (updated_at) WHERE ended_at IS NULL;

-- What a key was used for. The row is written in the order's transaction, so a
-- refused request does not use up its key.
CREATE TABLE idempotency_keys (
    key        text PRIMARY KEY,
    body_hash  bytea NOT NULL,
    order_id   text NOT NULL,
    total      bigint NOT NULL,
    currency   char(3) NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE tasks (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    order_id   text NOT NULL REFERENCES orders,
    command    text NOT NULL DEFAULT '',
    detail     text NOT NULL,
    state      text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (order_id, kind, command)
);
CREATE INDEX tasks_created ON tasks (created_at DESC, id DESC);

-- +goose Down
DROP TABLE tasks, idempotency_keys, orders, customers;
