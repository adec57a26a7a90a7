package inventory

import (
	"reflect"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

func TestAParcelIsAsColdAsItsColdestProduct(t *testing.T) {
	for _, tc := range []struct {
		all  []Storage
		want Storage
	}{
		{nil, Ambient},
		{[]Storage{Ambient, Ambient}, Ambient},
		{[]Storage{Ambient, Chilled}, Chilled},
		{[]Storage{Frozen, Chilled, Ambient}, Frozen},
	} {
		if got := coldest(tc.all); got != tc.want {
			t.Errorf("coldest(%v) = %s, want %s", tc.all, got, tc.want)
		}
	}
}

func TestStockIsLockedBySKUAndEachOnce(t *testing.T) {
	items := []events.Item{{SKU: "milk", Quantity: 1}, {SKU: "butter", Quantity: 2}, {SKU: "milk", Quantity: 3}}
	want := []events.Item{{SKU: "butter", Quantity: 2}, {SKU: "milk", Quantity: 4}}
	if got := bySKU(items); !reflect.DeepEqual(got, want) {
		t.Errorf("bySKU = %v, want %v", got, want)
	}
	if items[0].SKU != "milk" || items[0].Quantity != 1 {
		t.Errorf("the order's lines were changed: %v", items)
	}
}
