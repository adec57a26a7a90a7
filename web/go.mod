module github.com/cartwheel-shop/cartwheel/web

go 1.26

require github.com/cartwheel-shop/cartwheel/pkg v0.0.0

replace github.com/cartwheel-shop/cartwheel/pkg => ../pkg
