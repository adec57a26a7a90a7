module github.com/cartwheel-shop/cartwheel/test

go 1.26.0

require (
	github.com/cartwheel-shop/cartwheel/pkg v0.0.0
	github.com/cartwheel-shop/cartwheel/stack v0.0.0
)

replace (
	github.com/cartwheel-shop/cartwheel/pkg => ../pkg
	github.com/cartwheel-shop/cartwheel/stack => ../stack
)
