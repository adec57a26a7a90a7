module github.com/cartwheel-shop/cartwheel/services/order

go 1.26

require (
	github.com/cartwheel-shop/cartwheel/pkg v0.0.0
	github.com/danielgtaylor/huma/v2 v2.37.2
	github.com/jackc/pgx/v5 v5.12.0
	github.com/nats-io/nats.go v1.55.0
	go.temporal.io/api v1.63.0
	go.temporal.io/sdk v1.50.0
)

replace github.com/cartwheel-shop/cartwheel/pkg => ../../pkg
