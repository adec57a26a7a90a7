module github.com/cartwheel-shop/cartwheel/cmd/cartwheel

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/cartwheel-shop/cartwheel/pkg v0.0.0
	github.com/cartwheel-shop/cartwheel/services/analytics v0.0.0
	github.com/cartwheel-shop/cartwheel/services/inventory v0.0.0
	github.com/cartwheel-shop/cartwheel/services/notification v0.0.0
	github.com/cartwheel-shop/cartwheel/services/order v0.0.0
	github.com/cartwheel-shop/cartwheel/services/payment v0.0.0
	github.com/cartwheel-shop/cartwheel/stack v0.0.0
	github.com/cartwheel-shop/cartwheel/web v0.0.0
	github.com/gorilla/websocket v1.5.3
	github.com/nats-io/nats.go v1.55.0
	github.com/schollz/progressbar/v3 v3.18.0
	go.temporal.io/sdk v1.50.0
)

replace (
	github.com/cartwheel-shop/cartwheel/pkg => ../../pkg
	github.com/cartwheel-shop/cartwheel/services/analytics => ../../services/analytics
	github.com/cartwheel-shop/cartwheel/services/inventory => ../../services/inventory
	github.com/cartwheel-shop/cartwheel/services/notification => ../../services/notification
	github.com/cartwheel-shop/cartwheel/services/order => ../../services/order
	github.com/cartwheel-shop/cartwheel/services/payment => ../../services/payment
	github.com/cartwheel-shop/cartwheel/stack => ../../stack
	github.com/cartwheel-shop/cartwheel/web => ../../web
)
