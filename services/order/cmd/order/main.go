// Command order runs the order service.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/services/order"
)

func main() { service.Main("order", order.New) }
