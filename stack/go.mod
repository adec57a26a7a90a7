module github.com/cartwheel-shop/cartwheel/stack

go 1.26

require (
	github.com/alicebob/miniredis/v2 v2.40.0
	github.com/emersion/go-smtp v0.25.1
	github.com/fergusstrange/embedded-postgres v1.34.0
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c
)
