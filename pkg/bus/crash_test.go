package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
)

// victim is a process of this test binary that may be killed: a consumer, or a
// redrive. Its values come by the environment.
type victim struct {
	Brokers  []string
	Service  string
	Topic    string
	Database string
	Kind     string // of consumer, or "redrive"
	Faults   string
	Rate     int
}

const victimVariable = "CARTWHEEL_TEST_VICTIM"

// runVictim is what such a process does, until it is killed.
func runVictim(raw string) error {
	var v victim
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		return err
	}
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	cfg := Config{Brokers: v.Brokers, Service: v.Service, Attempts: 2, Log: log}
	if v.Kind == "redrive" {
		admin, err := NewAdmin(cfg)
		if err != nil {
			return err
		}
		_, err = admin.Redrive(ctx, Filter{Group: v.Service + ".c"}, RedriveOptions{Rate: v.Rate})
		return err
	}
	var err error
	if cfg.Faults, err = fault.FromEnv(v.Faults, log); err != nil {
		return err
	}
	url, err := serverURL()
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, url, v.Database, log, 8, outbox.Migrations, inbox.Migrations)
	if err != nil {
		return err
	}
	c := poisonable(outbox.Open(pool, "test"))[v.Kind]
	c.topics = []string{v.Topic}
	return Run(ctx, cfg, []Consumer{c})
}

// poisonable are ways to consume that refuse every tenth version of ord_1, the
// third first.
func poisonable(db *outbox.DB) map[string]Consumer {
	refuse := func(m events.Metadata) error {
		if m.AggregateID == "ord_1" && m.AggregateVersion%10 == 3 {
			return errors.New("refused")
		}
		return nil
	}
	all := kinds(db, func(_ context.Context, m events.Metadata) error { return refuse(m) })
	all["in order"] = all["once"].InOrder()
	all["batch"] = Batch("c", db, 20, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
		for _, e := range list {
			if err := refuse(e.Metadata); err != nil {
				return err
			}
		}
		return apply(ctx, tx, list)
	})
	return all
}

func (v victim) start(t *testing.T) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	url, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), victimVariable+"="+string(raw), "POSTGRES_URL="+url)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func wantKilled(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it ended with %v, want it killed", err)
	}
}

// evict does at once what the broker does when the session of a dead member ends.
func (s *shop) evict(consumer string) {
	s.t.Helper()
	admin := s.admin()
	group := s.group(consumer)
	described, err := admin.admin.DescribeGroups(s.t.Context(), group)
	if err != nil {
		s.t.Fatal(err)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	for _, m := range described[group].Members {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m.MemberID
		leave.Members = append(leave.Members, member)
	}
	if _, err := leave.RequestWith(s.t.Context(), admin.client); err != nil {
		s.t.Fatal(err)
	}
}

// A consumer that is killed at any point, kill -9, loses nothing and does nothing
// twice: the next one goes on, in the order of each key.
func TestAConsumerThatIsKilledAtAnyPoint(t *testing.T) {
	t.Parallel()
	points := []fault.Point{fault.InboxBefore, fault.InboxAfter, fault.DeadLetterBefore, fault.DeadLetterAfter, fault.AckBefore, fault.AckAfter}
	const keys, each = 6, 10
	for _, kind := range []string{"once", "in order", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, db := newShop(t, 3), database(t)
			v := victim{Brokers: s.brokers, Service: s.cfg.Service, Topic: s.topic, Kind: kind, Database: db.Pool().Config().ConnConfig.Database}
			all := orders(t, keys, each*len(points))
			for i, point := range points {
				s.write(all[i*keys*each : (i+1)*keys*each]...)
				v.Faults = string(point) + "=kill"
				wantKilled(t, v.start(t))
				s.evict("c")
			}
			v.Faults = "" // the last one lives
			v.start(t)
			want := map[string]int{}
			for k := range keys {
				want[fmt.Sprint("ord_", k)] = each * len(points)
			}
			want["ord_1"] -= len(points)
			if kind == "in order" {
				want["ord_1"] = 2 // the others wait behind the third
			}
			bustest.Await(t, func() bool { return s.committed("c") == int64(len(all)) }, "all offsets committed")
			got := effects(t, db)
			for key, n := range want {
				if !slices.IsSorted(got[key]) || len(slices.Compact(slices.Clone(got[key]))) != len(got[key]) || len(got[key]) != n {
					t.Errorf("%s: effects %v, want %d, once and in order", key, got[key], n)
				}
			}
			letters, err := s.admin().DeadLetters(t.Context(), Filter{Group: s.group("c"), Reason: Failed})
			if err != nil {
				t.Fatal(err)
			}
			poison := map[int64]bool{}
			for _, d := range letters {
				env, err := events.Decode(d.Raw)
				if err != nil || env.Metadata.AggregateID != "ord_1" || env.Metadata.AggregateVersion%10 != 3 {
					t.Errorf("a letter of %s, %v", d.Raw, err)
				}
				poison[env.Metadata.AggregateVersion] = true
			}
			if n := want["ord_1"] + len(poison); kind != "in order" && n != each*len(points) || kind == "in order" && len(poison) != 1 {
				t.Errorf("letters of %v, and %d effects of their key", poison, want["ord_1"])
			}
		})
	}
}

// Ten thousand dead letters go back while the shop goes on; whoever sends them is
// killed in the middle, and another goes on. Each takes effect once.
func TestTenThousandDeadLettersAreRedriven(t *testing.T) {
	t.Parallel()
	const letters, live = 10_000, 1000
	s, db := newShop(t, 4), database(t)
	s.run(Batch("c", db, 500, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
		keys, versions := make([]string, len(list)), make([]int64, len(list))
		for i, e := range list {
			keys[i], versions[i] = e.Metadata.AggregateID, e.Metadata.AggregateVersion
		}
		_, err := tx.Exec(ctx, `INSERT INTO effects (key, version) SELECT * FROM unnest($1::text[], $2::bigint[])`, keys, versions)
		return err
	}))
	bustest.Await(t, func() bool {
		topics, err := s.admin().admin.ListTopics(t.Context(), RedriveTopic(s.group("c")))
		return err == nil && topics.Error() == nil
	}, "the topics to be there")
	dead := make([]*kgo.Record, letters)
	for i := range dead {
		r := bustest.Record(t, s.topic, order(t, fmt.Sprint("dead_", i%100), int64(i/100+1)))
		r.Offset = int64(i)
		dead[i] = newDeadLetter(s.group("c"), "c", newMessage(r), &failure{Failed, 5, errors.New("a bug")}, r.Timestamp)
	}
	bustest.Write(t, s.brokers, dead...)
	go func() {
		for part := range 10 {
			var envs []events.Envelope
			for i := range live / 10 {
				envs = append(envs, order(t, fmt.Sprint("live_", i), int64(part+1)))
			}
			s.write(envs...)
		}
	}()

	sent := func() int64 { return s.end(RedriveTopic(s.group("c"))) }
	v := victim{Brokers: s.brokers, Service: s.cfg.Service, Kind: "redrive", Rate: 3000}
	cmd := v.start(t)
	bustest.Await(t, func() bool { return sent() > 1000 }, "the redrive to be in the middle")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wantKilled(t, cmd)
	before := sent()
	if before >= letters {
		t.Fatalf("%d letters were sent: it was not in the middle", before)
	}
	report, err := s.admin().Redrive(t.Context(), Filter{Group: s.group("c")}, RedriveOptions{Rate: 10_000})
	if err != nil || len(report.Items) < letters-int(before)-redriveChunk || len(report.Items) > letters-int(before) {
		t.Fatalf("%d letters behind %d, %v; want the rest", len(report.Items), before, err)
	}
	bustest.Await(t, func() bool { return count(effects(t, db)) >= letters+live }, "%d effects", letters+live)
	got := effects(t, db)
	dlq, shop := map[string][]int64{}, map[string][]int64{}
	for key, versions := range got {
		if key[:4] == "dead" {
			dlq[key] = versions
		} else {
			shop[key] = versions
		}
	}
	wantInOrder(t, dlq, 100, letters/100)
	wantInOrder(t, shop, live/10, 10)
	t.Logf("killed behind %d of %d letters; %d were sent twice", before, letters, sent()-letters)
}
