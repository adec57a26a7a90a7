package web

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
)

// Invariant is the verdict on one promise of the shop.
type Invariant struct {
	Name      string           `json:"name"`
	Holds     bool             `json:"holds"`
	Figures   map[string]int64 `json:"figures"`
	Offenders []string         `json:"offenders" nullable:"false"` // what breaks it, by id
}

// secondLook is how long after the first read an offender must still be there,
// unchanged, to count: what is under way moves on.
const secondLook = time.Second

// Check is the verdict on all promises, and how old the figures are that it rests
// on.
type Check struct {
	At        time.Time   `json:"at" doc:"of this answer"`
	CheckedAt time.Time   `json:"checked_at" doc:"when the figures began to be read"`
	Took      int64       `json:"took_ms" doc:"how long that took"`
	Items     []Invariant `json:"items" nullable:"false"`
}

// checks reads the figures once for all who ask at the same time. Who asks for what
// is true now gets figures that were read after the call; who can do with older
// ones, as a page that asks again and again, costs nothing as long as there are
// some.
type checks struct {
	read func(context.Context) []Invariant
	now  func() time.Time

	one    chan struct{} // holds one while somebody reads
	newest atomic.Pointer[Check]
}

func newChecks(read func(context.Context) []Invariant, now func() time.Time) *checks {
	return &checks{read: read, now: now, one: make(chan struct{}, 1)}
}

func (c *checks) get(ctx context.Context, maxAge time.Duration) (Check, error) {
	asked := c.now()
	if fresh, ok := c.since(asked.Add(-maxAge)); ok {
		return fresh, nil
	}
	select {
	case c.one <- struct{}{}:
		defer func() { <-c.one }()
	case <-ctx.Done():
		return Check{}, ctx.Err()
	}
	if fresh, ok := c.since(asked.Add(-maxAge)); ok { // somebody else has read meanwhile
		return fresh, nil
	}
	began := c.now()
	items := c.read(context.WithoutCancel(ctx)) // for all who wait
	c.newest.Store(&Check{CheckedAt: began.UTC(), Took: c.now().Sub(began).Milliseconds(), Items: items})
	fresh, _ := c.since(began)
	return fresh, nil
}

// since returns the newest check, if its figures were not read before a moment.
func (c *checks) since(at time.Time) (Check, bool) {
	newest := c.newest.Load()
	if newest == nil || newest.CheckedAt.Before(at) {
		return Check{}, false
	}
	check := *newest
	check.At = c.now().UTC()
	return check, true
}

// check reads all figures, and those of invariants that seem broken once more.
func (e *Edge) check(ctx context.Context) []Invariant {
	first := e.read(ctx)
	if !slices.ContainsFunc(first, func(i Invariant) bool { return !i.Holds }) {
		return first
	}
	select {
	case <-time.After(secondLook):
	case <-ctx.Done():
		return first
	}
	second := e.read(ctx)
	for i := range second {
		second[i].Offenders = slices.DeleteFunc(second[i].Offenders, func(o string) bool { return !slices.Contains(first[i].Offenders, o) })
		second[i].Holds = len(second[i].Offenders) == 0
	}
	return second
}

// reading is what one read of all services found.
type reading struct {
	e       *Edge
	ctx     context.Context
	reports map[string]figures.Report
	away    map[string]bool
}

// read makes one reading and judges it.
func (e *Edge) read(ctx context.Context) []Invariant {
	r := &reading{e: e, ctx: ctx, reports: map[string]figures.Report{}, away: map[string]bool{}}
	var mu sync.Mutex
	e.each(func(name string) {
		var report figures.Report
		err := e.get(ctx, name, "/internal/figures", &report)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			r.away[name] = true
		}
		r.reports[name] = report
	})
	return []Invariant{
		r.judge("stock adds up", r.local("inventory", "stock"), "inventory"),
		r.judge("money adds up", r.money(), "order", "payment"),
		r.judge("orders end, and hold nothing then", r.ends(), "order", "inventory", "payment"),
		r.judge("every fact arrives, in order and once", r.facts(), "order", "inventory", "payment", "notification", "analytics"),
		r.judge("every mail due is sent once", r.mails(), "order", "notification"),
		r.judge("read models equal the log", r.local("analytics", "sales"), "analytics"),
	}
}

// judge makes the verdict. Services that do not answer are offenders.
func (r *reading) judge(name string, offenders []string, services ...string) Invariant {
	v := Invariant{Name: name, Figures: map[string]int64{}, Offenders: offenders}
	for _, s := range services {
		if r.away[s] {
			v.Offenders = append(v.Offenders, "the "+s+" service does not answer")
		}
		for k, n := range r.reports[s].Values {
			v.Figures[s+"."+k] = n
		}
	}
	if v.Offenders == nil {
		v.Offenders = []string{}
	}
	v.Holds = len(v.Offenders) == 0
	return v
}

// local are offenders that a service sees by itself.
func (r *reading) local(name, invariant string) []string {
	return slices.Clone(r.reports[name].Offenders[invariant])
}

// difference compares a digest of two services and names the keys that differ,
// with both values.
func (r *reading) difference(a, b, figureA, figureB string) map[string][2]int64 {
	out := map[string][2]int64{}
	da, db := r.reports[a].Digests[figureA], r.reports[b].Digests[figureB]
	if r.away[a] || r.away[b] {
		return out // judge names who is away
	}
	if da == nil {
		da = &figures.Digest{}
	}
	if db == nil {
		db = &figures.Digest{}
	}
	for _, bucket := range figures.Differing(da, db) {
		var ia, ib figures.Items
		path := func(name string) string { return "/internal/figures/" + name + "/" + strconv.Itoa(bucket) }
		if r.e.get(r.ctx, a, path(figureA), &ia) != nil || r.e.get(r.ctx, b, path(figureB), &ib) != nil {
			out[fmt.Sprintf("bucket %d of %s", bucket, figureA)] = [2]int64{}
			continue
		}
		for _, key := range figures.Offending(ia.Items, ib.Items) {
			out[key] = [2]int64{ia.Items[key], ib.Items[key]}
		}
	}
	return out
}

// money: what is captured and not refunded is what shipped orders cost. Orders
// between capture and dispatch hold money that is not due yet.
func (r *reading) money() []string {
	out := append(r.local("payment", "ledger"), r.local("payment", "provider")...)
	diff := r.difference("order", "payment", "money_due", "money_held")
	statuses, _ := r.statuses(keys(diff)) // judge names who is away
	for _, id := range keys(diff) {
		switch statuses[id] {
		case "pending", "awaiting_approval", "confirmed":
			continue
		}
		out = append(out, fmt.Sprintf("%s: due %d, held %d", id, diff[id][0], diff[id][1]))
	}
	return out
}

// ends: no order is open past its deadline, and one that ended without goods
// holds neither stock nor money.
func (r *reading) ends() []string {
	out := r.local("order", "overdue")
	for _, s := range []string{"inventory", "payment"} {
		var holds figures.Holds
		if r.e.get(r.ctx, s, "/internal/holds", &holds) != nil {
			continue // judge names who is away
		}
		statuses, _ := r.statuses(holds.OrderIDs) // judge names who is away
		for _, id := range holds.OrderIDs {
			if st := statuses[id]; st == "cancelled" || st == "rejected" {
				out = append(out, fmt.Sprintf("%s: %s, and %s still holds something for it", id, st, s))
			}
		}
	}
	return out
}

// facts: what each publisher wrote, by key and version, is what analytics read.
// Facts that others put into the topics are none of ours.
func (r *reading) facts() []string {
	var out []string
	for _, publisher := range []string{"order", "inventory", "payment", "notification", "analytics"} {
		for name := range r.reports[publisher].Digests {
			topic, ok := strings.CutPrefix(name, "outbox:")
			if !ok {
				continue
			}
			diff := r.difference(publisher, "analytics", name, "facts:"+topic)
			for _, key := range keys(diff) {
				switch v := diff[key]; {
				case v[0] == 0:
				case v[1] < 0:
					out = append(out, fmt.Sprintf("%s/%s: %d versions out of order", topic, key, -v[1]))
				default:
					out = append(out, fmt.Sprintf("%s/%s: %d published, %d read", topic, key, v[0], v[1]))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// mails: what is due by an order's status is there, and none was given up. A mail
// about an order that is none of ours, because others put a fact about it into
// the topics, is due to nobody.
func (r *reading) mails() []string {
	out := r.local("notification", "mails_failed") // order:kind, and what is wrong
	diff := r.difference("order", "notification", "mails_due", "mails")
	for _, key := range keys(diff) {
		out = append(out, fmt.Sprintf("%s: due %d, there %d", key, diff[key][0], diff[key][1]))
	}
	ids := make([]string, len(out))
	for i, o := range out {
		ids[i], _, _ = strings.Cut(o, ":")
	}
	statuses, err := r.statuses(ids)
	if err != nil {
		return out
	}
	ours := out[:0]
	for i, o := range out {
		if statuses[ids[i]] != "" || strings.HasPrefix(o, "bucket ") { // which could not be read
			ours = append(ours, o)
		}
	}
	return ours
}

// statuses asks which status orders have; those that are not ours have none.
func (r *reading) statuses(ids []string) (map[string]string, error) {
	var a struct {
		Statuses map[string]string `json:"statuses"`
	}
	if len(ids) == 0 {
		return nil, nil
	}
	err := r.e.post(r.ctx, "order", "/internal/orders/status", map[string]any{"ids": ids}, &a)
	return a.Statuses, err
}

func keys(m map[string][2]int64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
