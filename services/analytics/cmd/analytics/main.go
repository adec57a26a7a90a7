// Command analytics runs the analytics service.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/services/analytics"
)

func main() { service.Main("analytics", analytics.New) }
