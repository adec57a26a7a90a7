package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// Drivers behind Watermill's interfaces.
const (
	DriverFranz     = "franz"           // ours, on franz-go
	DriverWatermill = "watermill-kafka" // stock watermill-kafka, on sarama
)

// KeyMetadata is the message metadata that holds the Kafka key.
const KeyMetadata = "partition_key"

// MaxMessage is the largest record value in bytes that topics of facts take.
const MaxMessage = 1 << 20

// Config says where Kafka is and who we are.
type Config struct {
	Brokers []string
	Service string // the prefix of consumer groups
	Driver  string // DriverFranz when empty
	Log     *slog.Logger

	Attempts int           // of a failing handler before the dead letters; 5 when 0
	Backoff  time.Duration // before the second attempt, doubled for each further one up to 2 s; 50 ms when 0
	Drain    time.Duration // that messages in flight may take to finish at the end; 5 s when 0

	// InFlight is how many messages of a partition, each of another key, are handled
	// at a time; 32 when 0. It is per partition, so that none waits for another's
	// handlers. Stock watermill-kafka handles one.
	InFlight int

	Metrics metric.MeterProvider // the global one when nil
	Faults  *fault.Points        // nil: nothing goes wrong on purpose
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, errors.New("bus: no Kafka brokers given")
	}
	if c.Driver == "" {
		c.Driver = DriverFranz
	}
	if c.Driver != DriverFranz && c.Driver != DriverWatermill {
		return c, fmt.Errorf("BUS_DRIVER must be %s or %s, not %q", DriverFranz, DriverWatermill, c.Driver)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.Backoff == 0 {
		c.Backoff = 50 * time.Millisecond
	}
	if c.Drain == 0 {
		c.Drain = 5 * time.Second
	}
	if c.InFlight == 0 {
		c.InFlight = 32
	}
	if c.InFlight < 0 {
		return c, fmt.Errorf("bus: at least 1 message of a partition is in flight, not %d", c.InFlight)
	}
	if c.Metrics == nil {
		c.Metrics = otel.GetMeterProvider()
	}
	return c, nil
}

// NewPublisher returns a publisher that never gives up on a message.
func NewPublisher(cfg Config) (message.Publisher, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Driver == DriverWatermill {
		return newWatermillPublisher(cfg)
	}
	return newFranzPublisher(cfg)
}

// NewSubscriber returns a subscriber for a consumer group. Every topic that it
// subscribes to is read from the start when the group is new.
func NewSubscriber(cfg Config, group string) (message.Subscriber, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Driver == DriverWatermill {
		return newWatermillSubscriber(cfg, group)
	}
	return newFranzSubscriber(cfg, group)
}

// Reachable is a health check: nil when a broker answers.
func Reachable(ctx context.Context, cfg Config) error {
	cl, err := kgo.NewClient(clientOptions(cfg)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil {
		return errors.New("Kafka does not answer")
	}
	return nil
}

// clientOptions are common to all clients: quick to notice that a broker is
// back, patient for ever.
func clientOptions(cfg Config, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID("cartwheel-" + cfg.Service),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(3 * time.Second),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(time.Duration(tries)*100*time.Millisecond, 500*time.Millisecond)
		}),
	}, more...)
}
