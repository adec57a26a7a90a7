//go:build lean

package bus

import (
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"
)

// errLean is what selecting the stock driver gets in a program that was built
// without it, to be smaller.
var errLean = errors.New("BUS_DRIVER=watermill-kafka: this program was built with the tag lean, which leaves that driver out: take franz, or build it without the tag")

func newWatermillPublisher(Config) (message.Publisher, error) { return nil, errLean }

func newWatermillSubscriber(Config, string) (message.Subscriber, error) { return nil, errLean }
