package inventory

import (
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Commands are transitions: what comes of them in every order in which a saga,
// its retries and its compensations may ask. A step is a command and how it ends,
// "done" where nothing is said. All want 20 of the 50 truffles.
func TestCommands(t *testing.T) {
	for _, tc := range []struct {
		name   string
		steps  string
		levels string // of the truffles: on hand/reserved/shipped
		states string // of the reservation and the shipment
		facts  string
	}{
		{"reserved", "reserve",
			"30/20/0", "reserved, none", "inventory.reserved"},
		{"all the way", "reserve prepare hand-over dispatched",
			"30/0/20", "shipped, dispatched", "inventory.reserved shipment.prepared shipment.dispatched"},
		{"every command delivered twice", "reserve reserve prepare prepare hand-over hand-over dispatched dispatched",
			"30/0/20", "shipped, dispatched", "inventory.reserved shipment.prepared shipment.dispatched"},
		{"early commands again after the end", "reserve prepare hand-over dispatched reserve prepare hand-over",
			"30/0/20", "shipped, dispatched", "inventory.reserved shipment.prepared shipment.dispatched"},
		{"undone, newest first", "reserve prepare cancel release",
			"50/0/0", "released, cancelled", "inventory.reserved shipment.prepared shipment.cancelled inventory.released"},
		{"every undo delivered twice", "reserve prepare cancel cancel release release",
			"50/0/0", "released, cancelled", "inventory.reserved shipment.prepared shipment.cancelled inventory.released"},
		{"undone, oldest first", "reserve prepare release cancel",
			"50/0/0", "released, cancelled", "inventory.reserved shipment.prepared inventory.released shipment.cancelled"},
		{"a shipment without its goods is not dispatched", "reserve prepare release hand-over=command_undone",
			"50/0/0", "released, prepared", "inventory.reserved shipment.prepared inventory.released"},

		{"a reserve after its release holds nothing", "release reserve=command_undone release",
			"50/0/0", "released, none", ""},
		{"a reserve repeated after its release holds nothing", "reserve release reserve=command_undone",
			"50/0/0", "released, none", "inventory.reserved inventory.released"},
		{"a prepare after its cancellation makes nothing", "reserve cancel prepare=command_undone release",
			"50/0/0", "released, cancelled", "inventory.reserved inventory.released"},
		{"a prepare after the release makes nothing", "reserve release prepare=command_undone",
			"50/0/0", "released, none", "inventory.reserved inventory.released"},
		{"all undos before all dos", "cancel release reserve=command_undone prepare=command_undone hand-over=command_undone",
			"50/0/0", "released, cancelled", ""},
		{"a prepare without a reservation", "prepare=reservation_expired release",
			"50/0/0", "released, none", ""},
		{"a dispatch without a shipment", "reserve hand-over=again",
			"30/20/0", "reserved, none", "inventory.reserved"},

		{"an expired reservation gives its stock back", "reserve expire",
			"50/0/0", "expired, none", "inventory.reserved inventory.released"},
		{"an expired reservation takes its stock again", "reserve expire prepare hand-over dispatched",
			"30/0/20", "shipped, dispatched", "inventory.reserved inventory.released shipment.prepared shipment.dispatched"},
		{"an expired reservation whose stock is sold", "reserve expire sold prepare=reservation_expired cancel release",
			"0/0/0", "released, cancelled", "inventory.reserved inventory.released"},
		{"an expired reservation is released once", "reserve expire release",
			"50/0/0", "released, none", "inventory.reserved inventory.released"},
		{"a reserve repeated after it expired takes nothing", "reserve expire reserve",
			"50/0/0", "expired, none", "inventory.reserved inventory.released"},
		{"a shipment does not expire", "reserve prepare expire hand-over dispatched",
			"30/0/20", "shipped, dispatched", "inventory.reserved shipment.prepared shipment.dispatched"},
		{"what was unpacked expires when nobody releases it", "reserve prepare cancel expire",
			"50/0/0", "expired, cancelled", "inventory.reserved shipment.prepared shipment.cancelled inventory.released"},

		{"nothing is undone while the courier is asked", "reserve prepare hand-over cancel=again release=again",
			"30/20/0", "allocated, handing_over", "inventory.reserved shipment.prepared"},
		{"the courier refuses", "reserve prepare hand-over turned-down=courier_refused cancel release",
			"50/0/0", "released, cancelled", "inventory.reserved shipment.prepared shipment.cancelled inventory.released"},
		{"the courier's refusal is remembered", "reserve prepare hand-over turned-down=courier_refused hand-over=courier_refused turned-down=courier_refused",
			"30/20/0", "allocated, turned_down", "inventory.reserved shipment.prepared"},
		{"what the courier has is not undone", "reserve prepare hand-over dispatched cancel=already_shipped release=already_shipped",
			"30/0/20", "shipped, dispatched", "inventory.reserved shipment.prepared shipment.dispatched"},
		{"the courier's first answer counts", "reserve prepare hand-over dispatched turned-down",
			"30/0/20", "shipped, dispatched", "inventory.reserved shipment.prepared shipment.dispatched"},
		{"a courier's answer that nobody asked for", "reserve prepare cancel dispatched=command_undone release",
			"50/0/0", "released, cancelled", "inventory.reserved shipment.prepared shipment.cancelled inventory.released"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			o := w.order("ord_1", "truffle-box 20", "milk 2")
			for _, step := range strings.Fields(tc.steps) {
				command, want, ok := strings.Cut(step, "=")
				if !ok {
					want = "done"
				}
				if _, err := w.do(t.Context(), command, o); outcome(err) != want {
					t.Errorf("%s ended %s (%v), want %s", command, outcome(err), err, want)
				}
			}
			if got := w.levels(t, "truffle-box"); got != tc.levels {
				t.Errorf("stock %s, want %s", got, tc.levels)
			}
			if got := w.states(t, o.OrderID); got != tc.states {
				t.Errorf("reservation, shipment: %s, want %s", got, tc.states)
			}
			if got := w.told(t, o.OrderID); got != tc.facts {
				t.Errorf("facts %q, want %q", got, tc.facts)
			}
			w.addsUp(t)
		})
	}
}

func TestReserveHoldsAllLinesOrNone(t *testing.T) {
	w := open(t)
	for _, tc := range []struct {
		name   string
		lines  []string
		code   string
		reason string
	}{
		{"too much of one", []string{"milk 5", "truffle-box 51"}, "out_of_stock", "51 of truffle-box were ordered and 50 are left"},
		{"too much in two lines together", []string{"truffle-box 30", "milk 1", "truffle-box 30"}, "out_of_stock", "60 of truffle-box were ordered and 50 are left"},
		{"a product that there is not", []string{"milk 1", "moon-dust 1"}, "unknown_sku", "there is no product moon-dust"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := w.order("ord_"+tc.code+tc.lines[0], tc.lines...)
			_, first := w.Reserve(t.Context(), o)
			_, second := w.Reserve(t.Context(), o)
			for _, err := range []error{first, second} {
				if outcome(err) != tc.code || !strings.Contains(err.Error(), tc.reason) {
					t.Errorf("Reserve = %v, want %s: %s", err, tc.code, tc.reason)
				}
			}
			if milk, truffles := w.levels(t, "milk"), w.levels(t, "truffle-box"); milk != "8000/0/0" || truffles != "50/0/0" {
				t.Errorf("something is held: milk %s, truffles %s", milk, truffles)
			}
			facts := w.facts(t, o.OrderID)
			if len(facts) != 1 {
				t.Fatalf("%d facts, want one", len(facts))
			}
			e, err := events.As[events.InventoryRejected](facts[0])
			if err != nil {
				t.Fatal(err)
			}
			if e.Data.Code != tc.code || e.Data.Reason != tc.reason {
				t.Errorf("told %+v, want %s: %s", e.Data, tc.code, tc.reason)
			}
			if _, err := w.Release(t.Context(), o); err != nil {
				t.Errorf("Release of what was refused: %v", err)
			}
			w.addsUp(t)
		})
	}
}

// A product is told of when it falls below its threshold, not each time that it
// is below.
func TestStockLowIsToldOnce(t *testing.T) {
	w := open(t) // of 50 truffles fewer than 5 are few
	var low []int64
	for _, lines := range []string{"truffle-box 45", "truffle-box 1", "truffle-box 2"} {
		o := w.order("ord_"+strings.ReplaceAll(lines, " ", "_"), lines)
		if _, err := w.Reserve(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		for _, env := range w.facts(t, o.OrderID) {
			if events.Matches[events.InventoryStockLow](env) {
				e, err := events.As[events.InventoryStockLow](env)
				if err != nil {
					t.Fatal(err)
				}
				low = append(low, e.Data.OnHand)
			}
		}
	}
	if len(low) != 1 || low[0] != 4 {
		t.Errorf("told of %v pieces left, want once, of 4", low)
	}
}

// A parcel is told to be kept as cold as its coldest product needs.
func TestPreparedParcelSaysHowCold(t *testing.T) {
	w := open(t)
	o := w.order("ord_1", "spaghetti 1", "peas 1", "milk 1")
	for _, c := range []string{"reserve", "prepare"} {
		if _, err := w.do(t.Context(), c, o); err != nil {
			t.Fatal(err)
		}
	}
	facts := w.facts(t, o.OrderID)
	e, err := events.As[events.ShipmentPrepared](facts[len(facts)-1])
	if err != nil {
		t.Fatal(err)
	}
	if e.Data.Storage != "frozen" {
		t.Errorf("storage %s, want frozen", e.Data.Storage)
	}
}

// No statement can break the sum, whatever a future change gets wrong.
func TestTheDatabaseKeepsTheSum(t *testing.T) {
	w := open(t)
	for _, set := range []string{"on_hand = on_hand - 1", "reserved = -1, on_hand = on_hand + 1", "shipped = shipped + 1"} {
		if _, err := w.db.Pool().Exec(t.Context(), `UPDATE stock SET `+set+` WHERE sku = 'milk'`); err == nil {
			t.Errorf("UPDATE stock SET %s is allowed", set)
		}
	}
}

// One reservation that cannot be expired does not keep the others.
func TestExpirySkipsWhatFails(t *testing.T) {
	w := open(t)
	for _, o := range []string{"ord_1", "ord_2", "ord_3"} {
		if _, err := w.Reserve(t.Context(), w.order(o, "truffle-box 1")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE reservations SET lines = '[{"sku": "moon-dust", "quantity": 1}]' WHERE order_id = 'ord_1'`); err != nil {
		t.Fatal(err)
	}
	w.at = w.at.Add(time.Hour)
	n, err := w.Expire(t.Context())
	if n != 2 || err == nil {
		t.Errorf("Expire = %d, %v; want 2 and an error for the third", n, err)
	}
	if got := w.levels(t, "truffle-box"); got != "49/1/0" {
		t.Errorf("stock %s, want 49/1/0", got)
	}
}
