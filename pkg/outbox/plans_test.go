package outbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
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
	if err := writer.QueryRow(ctx, `SELECT pg_current_snapshot()::text, max(seq) FROM outbox`).Scan(&snapshot, &top); err != nil {
		t.Fatal(err)
	}
	for i := range cur.shards {
		cur.shards[i].hi, cur.shards[i].snapshot = top, snapshot
	}
	exec(`INSERT INTO outbox (shard, event_id, topic, key, headers, payload) VALUES (1, '', 'orders', 'fresh', '{}', '')`)
	if _, err := held.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}

	c := fmt.Sprintf
	var shards, his, snapshots, elsewhere []string
	for i, p := range cur.shards {
		shards, his = append(shards, c("%d", i)), append(his, c("%d", p.hi))
		snapshots, elsewhere = append(snapshots, c("%q", p.snapshot)), append(elsewhere, "false")
	}
	array := func(list []string) string { return "'{" + strings.Join(list, ",") + "}'" }
	statements := map[string]struct {
		sql  string
		args []string
		want int
	}{
		"fresh":  {freshRows, []string{array(shards), array(his), "1000"}, 1},
		"late":   {lateRows, []string{array(shards), array(his), array(snapshots), array(elsewhere), "0"}, 1},
		"unseen": {unseenRows, []string{"'" + snapshot + "'", "0", "1000", array(shards)}, 2},
		"count":  {unseenCount, []string{"'" + snapshot + "'", "0", "1000"}, 1},
	}
	for _, statistics := range []bool{false, true} {
		if statistics {
			exec(`ANALYZE outbox`)
		}
		for name, s := range statements {
			// A prepared statement may be planned with its arguments or without.
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				err := pgx.BeginFunc(ctx, relay, func(tx pgx.Tx) error {
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
					if tag.RowsAffected() != int64(s.want) {
						t.Errorf("%s: found %d rows, want %d", name, tag.RowsAffected(), s.want)
					}
					var raw []byte
					if err := tx.QueryRow(ctx, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+look).Scan(&raw); err != nil {
						return err
					}
					var explained []struct{ Plan plan }
					if err := json.Unmarshal(raw, &explained); err != nil {
						return err
					}
					check(t, c("%s, statistics %v, %s", name, statistics, mode), explained[0].Plan, raw)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func check(t *testing.T, name string, top plan, raw []byte) {
	t.Helper()
	top.walk(func(p plan) {
		if p.Type == "Seq Scan" && strings.HasPrefix(p.Relation, "outbox_p") {
			t.Errorf("%s: reads all of %s", name, p.Relation)
		}
	})
	// All rows and their indexes are about 3,000 pages; three levels of 64 shards in two partitions
	// are 300.
	pages := top.Hit + top.Read
	if pages > 500 {
		t.Errorf("%s: reads %d pages\n%s", name, pages, raw)
	}
	t.Logf("%s: %d pages", name, pages)
}
