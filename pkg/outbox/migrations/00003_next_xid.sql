-- +goose Up
-- A transaction has its id before it draws a number, also when it inserts by
-- defaults: so whoever drew a number up to hi has an id that was given by the time
-- that hi was read, and rows that come late are sought only among those ids.
ALTER TABLE outbox ALTER COLUMN seq SET DEFAULT nextval(CASE WHEN pg_current_xact_id() IS NOT NULL THEN 'outbox_seq'::regclass END);

-- The first id that was not given yet when hi was read. Of positions that were
-- stored without it nothing is known.
ALTER TABLE outbox_cursors ADD COLUMN next_xid xid8 NOT NULL DEFAULT '9223372036854775807';
UPDATE outbox_cursors SET next_xid = pg_snapshot_xmax(snapshot) WHERE hi = 0;

-- +goose Down
ALTER TABLE outbox_cursors DROP COLUMN next_xid;
ALTER TABLE outbox ALTER COLUMN seq SET DEFAULT nextval('outbox_seq');
