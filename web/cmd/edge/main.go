// Command edge serves the console and routes /api to the services.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/web"
)

func main() { service.Main("edge", web.New) }
