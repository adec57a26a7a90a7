// Command notification runs the notification service.
package main

import (
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/services/notification"
)

func main() { service.Main("notification", notification.New) }
