// Command payment runs the payment service.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/services/payment"
)

func main() { service.Main("payment", payment.New) }
