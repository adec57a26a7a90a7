-- +goose Up
CREATE TABLE payments (
    id               text PRIMARY KEY,
    order_id         text NOT NULL UNIQUE,
    amount           bigint NOT NULL CHECK (amount >= 0),
    currency         char(3) NOT NULL,
    token            text NOT NULL,
    state            text NOT NULL,
    authorize_undone boolean NOT NULL DEFAULT false,
    capture_undone   boolean NOT NULL DEFAULT false,
    code             text NOT NULL DEFAULT '',
    reason           text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_authorized ON payments (order_id) WHERE state = 'authorized';
CREATE INDEX payments_stranded ON payments (updated_at) WHERE state = 'authorized' AND authorize_undone OR state = 'captured' AND capture_undone;

-- What we have asked the provider, or are about to. Pending: no answer is
-- recorded. Abandoned: the provider did not know of it when its undo asked.
-- Nothing: there was nothing to ask.
CREATE TABLE intents (
    order_id   text NOT NULL REFERENCES payments (order_id),
    kind       text NOT NULL,
    state      text NOT NULL CHECK (state IN ('pending', 'done', 'refused', 'abandoned', 'nothing')),
    attempts   int NOT NULL DEFAULT 1,
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz NOT NULL DEFAULT now(), -- when the provider was last asked what became of it
    PRIMARY KEY (order_id, kind)
);
CREATE INDEX intents_open ON intents (checked_at) WHERE state IN ('pending', 'abandoned');

CREATE TABLE journal (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL,
    kind     text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, kind)
);
CREATE TABLE postings (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id bigint NOT NULL REFERENCES journal,
    order_id   text NOT NULL,
    account    text NOT NULL,
    amount     bigint NOT NULL,
    currency   char(3) NOT NULL
);
CREATE INDEX postings_order ON postings (order_id, id);
CREATE INDEX postings_journal ON postings (journal_id);

-- Double entry: what a transaction posts under a journal entry sums to zero.
-- +goose StatementBegin
CREATE FUNCTION postings_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM posted JOIN postings p USING (journal_id) GROUP BY p.journal_id, p.currency HAVING sum(p.amount) <> 0) THEN
        RAISE EXCEPTION 'the postings of a journal entry do not sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER postings_balance AFTER INSERT ON postings REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION postings_balance();

-- +goose Down
DROP TABLE postings, journal, intents, payments;
DROP FUNCTION postings_balance;
