// Command inventory runs the inventory service.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/services/inventory"
)

func main() { service.Main("inventory", inventory.New) }
