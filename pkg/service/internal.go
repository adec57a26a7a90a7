package service

import (
	"context"
	"net/http"
	"strconv"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// HandleInternal registers what the edge asks of every service: the trail of an
// order, the service's side of the invariants, and one bucket of a digest; and,
// when faults are on, the operator's calls to arm them. It is no part of the
// public interface.
func HandleInternal(a *httpapi.API, faults *fault.Points,
	trail func(ctx context.Context, orderID string) (Trail, error),
	report func(context.Context) (figures.Report, error),
	items func(ctx context.Context, name string, bucket int) (figures.Items, error),
) {
	handleFaults(a, faults)
	httpapi.HandleJSON(a, "GET /internal/trail/{order_id}", func(r *http.Request) (Trail, error) {
		return trail(r.Context(), r.PathValue("order_id"))
	})
	httpapi.HandleJSON(a, "GET /internal/figures", func(r *http.Request) (figures.Report, error) { return report(r.Context()) })
	httpapi.HandleJSON(a, "GET /internal/figures/{name}/{bucket}", func(r *http.Request) (figures.Items, error) {
		bucket, err := strconv.Atoi(r.PathValue("bucket"))
		if err != nil || bucket < 0 || bucket >= figures.Buckets {
			return figures.Items{}, httpapi.Problem(http.StatusNotFound, "not_found", "buckets are numbered from 0 to 63")
		}
		return items(r.Context(), r.PathValue("name"), bucket)
	})
}
