package outbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// plan is what EXPLAIN says of a statement and its parts.
type plan struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Parts    []plan `json:"Plans"`
}

func (p plan) walk(visit func(plan)) {
	visit(p)
	for _, part := range p.Parts {
		part.walk(visit)
	}
}

// Looking for unsent rows must not get slower with the rows that are sent, nor
// with how long a transaction has been open, and whether or not the planner has
// statistics.
func TestLookingForRowsReadsFewPages(t *testing.T) {
	const transactions = 80 // of a thousand rows
	db, conns := database(t, 3)
	ctx := t.Context()
	held, writer, relay := conns[0], conns[1], conns[2]
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := writer.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	// A transaction that is open since before all rows, and has a late one.
	for _, sql := range []string{`BEGIN`, `INSERT INTO outbox (shard, event_id, topic, key, headers, payload) VALUES (0, '', 'orders', 'held', '{}', '')`} {
		if _, err := held.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`ALTER TABLE outbox_p0 SET (autovacuum_enabled = false)`)
	// In many transactions, so that ids differ.
	exec(`DO $$ BEGIN FOR i IN 1..` + fmt.Sprint(transactions) + ` LOOP
		INSERT INTO outbox (shard, event_id, topic, key, headers, payload)
		SELECT n % 64, n::text, 'orders', n::text, '{}', convert_to(repeat('x', 100), 'UTF8') FROM generate_series(1, 1000) n;
		COMMIT; END LOOP; END $$`)

	o := oursOf(db, &kafka{}, relay)
	if err := o.share(ctx); err != nil {
		t.Fatal(err)
	}
	cur := o.pipe.cur
	var snapshot string
	var top int64
	var next uint64
	if err := writer.QueryRow(ctx, `SELECT pg_current_snapshot()::text, max(seq), (`+takeNext+`) FROM outbox`).Scan(&snapshot, &top, &next); err != nil {
		t.Fatal(err)
	}
	for i := range cur.shards {
		cur.shards[i].hi, cur.shards[i].snapshot, cur.shards[i].next = top, snapshot, next
	}
	exec(`INSERT INTO outbox (shard, event_id, topic, key, headers, payload) VALUES (1, '', 'orders', 'fresh', '{}', '')`)
	if _, err := held.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}

	shards, late := statementsOf(cur)
	for _, statistics := range []bool{false, true} {
		if statistics {
			exec(`ANALYZE outbox`)
		}
		for _, s := range []statement{
			{"fresh", freshRows, []string{shards, hisOf(cur), "1000"}, 1},
			{"late", lateRows, late, 1},
			{"unseen", unseenRows, []string{"'" + snapshot + "'", "0", "1000", shards}, 2},
			{"count", unseenCount, []string{"'" + snapshot + "'", "0", "1000"}, 1},
		} {
			// All rows and their indexes are about 3,000 pages; three levels of 64 shards in
			// two partitions are 300.
			s.explain(t, relay, fmt.Sprintf("statistics %v", statistics), 500)
		}
	}
}

// However much has gathered while no relay ran, the first rows are found at once:
// what came after the position is looked at only as far as it is sent, also when
// the position lies in the middle of a partition, and transactions were open.
func TestTheFirstRowsOfABacklogAreFoundAtOnce(t *testing.T) {
	db, conns := database(t, 4)
	ctx := t.Context()
	writer, held, prepared, conn := conns[0], conns[1], conns[2], conns[3]
	exec := func(c *pgxpool.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	const one = `INSERT INTO outbox (shard, event_id, topic, key, headers, payload) VALUES (%d, '', 'orders', '', '{}', '')`
	fill := func(transactions int) {
		exec(writer, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
			INSERT INTO outbox (shard, event_id, topic, key, headers, payload)
			SELECT n %% 64, n::text, 'orders', n::text, '{}', convert_to(repeat('x', 100), 'UTF8') FROM generate_series(1, 1000) n;
			COMMIT; END LOOP; END $$`, transactions))
	}
	exec(writer, `ALTER TABLE outbox_p0 SET (autovacuum_enabled = false)`)
	fill(2)
	// Two that are open, one before and one behind the newest that is complete.
	exec(held, `BEGIN`)
	exec(held, fmt.Sprintf(one, 3))
	fill(1)
	exec(prepared, `BEGIN`)
	exec(prepared, `SAVEPOINT s`)
	exec(prepared, fmt.Sprintf(one, 4))

	k := &kafka{}
	sent := oursOf(db, k, conn)
	if err := sent.share(ctx); err != nil {
		t.Fatal(err)
	}
	for n := 1; n > 0; {
		var err error
		if n, err = sent.poll(ctx); err != nil {
			t.Fatal(err)
		}
		for _, m := range sent.way.sent {
			m.arrived = true // where, nobody asks
		}
		sent.way.answer(all)
	}
	if err := sent.storeQuiet(ctx); err != nil {
		t.Fatal(err)
	}

	fill(80)
	exec(held, `COMMIT`)
	exec(prepared, `COMMIT`)
	o := oursOf(db, k, conn)
	if err := sent.leave(ctx); err != nil {
		t.Fatal(err)
	}
	if err := o.share(ctx); err != nil {
		t.Fatal(err)
	}
	shards, late := statementsOf(o.pipe.cur)
	for _, statistics := range []bool{false, true} {
		if statistics {
			exec(writer, `ANALYZE outbox`)
		}
		// The backlog is 80,000 rows in about 3,000 pages.
		name := fmt.Sprintf("statistics %v", statistics)
		statement{"late", lateRows, late, 2}.explain(t, conn, name, 100)
		statement{"fresh", freshRows, []string{shards, hisOf(o.pipe.cur), "2"}, 2 * Shards}.explain(t, conn, name, 500)
	}
}

// Measuring must not get slower with what waits, nor while a transaction is open,
// which keeps VACUUM from calling pages all visible.
func TestMeasuringTheBacklogReadsTheFirstRowsOnly(t *testing.T) {
	_, conns := database(t, 2)
	ctx := t.Context()
	held, conn := conns[0], conns[1]
	exec := func(c *pgxpool.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(held, `BEGIN`)
	exec(held, `SELECT pg_current_xact_id()`)
	exec(conn, `DO $$ BEGIN FOR i IN 1..200 LOOP
		INSERT INTO outbox (shard, event_id, topic, key, headers, payload)
		SELECT n % 64, n::text, 'orders', n::text, '{}', convert_to(repeat('x', 100), 'UTF8') FROM generate_series(1, 1000) n;
		COMMIT; END LOOP; END $$`)
	exec(conn, `VACUUM (ANALYZE) outbox`)
	exec(conn, `PREPARE measure AS `+measureBacklog)
	exec(conn, `BEGIN`)
	exec(conn, byIndex)
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		exec(conn, `SET LOCAL plan_cache_mode = `+mode)
		var raw []byte
		if err := conn.QueryRow(ctx, fmt.Sprintf(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE measure (%d)`, MostCounted)).Scan(&raw); err != nil {
			t.Fatal(err)
		}
		var explained []struct{ Plan plan }
		if err := json.Unmarshal(raw, &explained); err != nil {
			t.Fatal(err)
		}
		// A page for each row that is counted. All rows of each shard are three times that.
		if pages := explained[0].Plan.Hit + explained[0].Plan.Read; pages > Shards*MostCounted*5/4 {
			t.Errorf("%s: reads %d pages\n%s", mode, pages, raw)
		}
	}
}

// statement is one that looks for rows, with literals as its arguments.
type statement struct {
	name, sql string
	args      []string
	rows      int // that it finds
}

// statementsOf are the arguments of lateRows for a cursor; the first of them are
// the shards.
func statementsOf(cur *cursor) (shards string, late []string) {
	var lists [5][]string
	for i, p := range cur.shards {
		for n, value := range []string{fmt.Sprint(i), fmt.Sprint(p.hi), fmt.Sprintf("%q", p.snapshot), fmt.Sprint(p.next), "false"} {
			lists[n] = append(lists[n], value)
		}
	}
	for _, list := range lists {
		late = append(late, "'{"+strings.Join(list, ",")+"}'")
	}
	return late[0], append(late, "0")
}

func hisOf(cur *cursor) string {
	_, late := statementsOf(cur)
	return late[1]
}

// explain runs a statement, whether it is planned with its arguments or without,
// and fails when it reads more pages, or all of a partition.
func (s statement) explain(t *testing.T, conn *pgxpool.Conn, state string, most int) {
	t.Helper()
	ctx := t.Context()
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var set string
			if err := tx.QueryRow(ctx, takeSnapshot).Scan(&set, new(int64), &set, &set); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT set_config('plan_cache_mode', $1, true)`, mode).Scan(&set); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `PREPARE look AS `+s.sql); err != nil {
				return err
			}
			defer tx.Exec(ctx, `DEALLOCATE look`)
			look := `EXECUTE look (` + strings.Join(s.args, ", ") + `)`
			tag, err := tx.Exec(ctx, look)
			if err != nil {
				return err
			}
			if tag.RowsAffected() != int64(s.rows) {
				t.Errorf("%s: found %d rows, want %d", s.name, tag.RowsAffected(), s.rows)
			}
			var raw []byte
			if err := tx.QueryRow(ctx, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+look).Scan(&raw); err != nil {
				return err
			}
			var explained []struct{ Plan plan }
			if err := json.Unmarshal(raw, &explained); err != nil {
				return err
			}
			check(t, fmt.Sprintf("%s, %s, %s", s.name, state, mode), explained[0].Plan, raw, most)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func check(t *testing.T, name string, top plan, raw []byte, most int) {
	t.Helper()
	top.walk(func(p plan) {
		if p.Type == "Seq Scan" && strings.HasPrefix(p.Relation, "outbox_p") {
			t.Errorf("%s: reads all of %s", name, p.Relation)
		}
	})
	pages := top.Hit + top.Read
	if pages > most {
		t.Errorf("%s: reads %d pages, and %d are the most\n%s", name, pages, most, raw)
	}
	t.Logf("%s: %d pages", name, pages)
}
