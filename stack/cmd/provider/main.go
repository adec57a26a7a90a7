// Command provider runs the test payment provider and the test courier.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/stack/testservers"
)

func main() { service.Main("provider", testservers.New) }
