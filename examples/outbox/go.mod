module example.com/stocktaking

go 1.26.0

require github.com/cartwheel-shop/cartwheel/pkg v0.1.0
