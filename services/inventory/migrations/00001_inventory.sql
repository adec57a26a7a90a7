-- +goose Up
CREATE TABLE products (
    sku      text PRIMARY KEY,
    position int NOT NULL UNIQUE,
    name     text NOT NULL,
    price    bigint NOT NULL CHECK (price >= 0),
    currency char(3) NOT NULL,
    storage  text NOT NULL CHECK (storage IN ('ambient', 'chilled', 'frozen')),
    listed   boolean NOT NULL
);

CREATE TABLE stock (
    sku       text PRIMARY KEY REFERENCES products,
    received  bigint NOT NULL,
    on_hand   bigint NOT NULL CHECK (on_hand >= 0),
    reserved  bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    shipped   bigint NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    threshold bigint NOT NULL,
    CONSTRAINT stock_adds_up CHECK (on_hand + reserved + shipped = received)
) WITH (fillfactor = 50);

CREATE TABLE reservations (
    order_id   text PRIMARY KEY,
    state      text NOT NULL,
    lines      jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    code       text NOT NULL DEFAULT '', -- why it was refused
    reason     text NOT NULL DEFAULT '',
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reservations_expiry ON reservations (expires_at) WHERE state = 'reserved';
CREATE INDEX reservations_held ON reservations (order_id) WHERE state IN ('reserved', 'allocated');

CREATE TABLE shipments (
    id           text PRIMARY KEY,
    order_id     text NOT NULL UNIQUE,
    state        text NOT NULL,
    carrier      text NOT NULL DEFAULT '',
    tracking     text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '', -- why the courier refuses it
    delivered_at timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- What was asked of us, for the timeline of an order.
CREATE TABLE commands (
    order_id text NOT NULL,
    command  text NOT NULL,
    attempts int NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at  timestamptz NOT NULL DEFAULT now(),
    outcome  text NOT NULL,
    PRIMARY KEY (order_id, command)
);

-- How far the courier's feed of deliveries was read.
CREATE TABLE courier_feed (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO courier_feed (last) VALUES (0);

-- +goose Down
DROP TABLE courier_feed, commands, shipments, reservations, stock, products;
