package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Part names a dependency.
type Part string

// The parts, in the order in which people list them.
const (
	Kafka    Part = "kafka"
	Temporal Part = "temporal"
	NATS     Part = "nats"
	Redis    Part = "redis"
	Postgres Part = "postgres"
	SMTP     Part = "smtp"
)

// Parts lists all parts.
func Parts() []Part { return []Part{Kafka, Temporal, NATS, Redis, Postgres, SMTP} }

// Config says where the stack lives and what replaces its parts. An empty
// address means embedded.
type Config struct {
	// Dir holds all data. It is made when missing.
	Dir string
	// CacheDir holds what is the same for all data directories: the Postgres
	// binaries and the built Temporal server. Default: cartwheel in the user's
	// cache directory.
	CacheDir string

	KafkaBrokers    []string
	TemporalAddress string
	NATSURL         string
	RedisAddr       string
	PostgresURL     string
	SMTPAddr        string
	// InboxURL is where people look at what SMTPAddr was sent, if anywhere.
	InboxURL string

	// Real runs Apache Kafka and redis-server as children instead of what
	// imitates them in this process. They must be installed, see package native.
	Real bool

	// PostgresInstalled is the directory of an installed Postgres to run instead of
	// the one that is fetched, such as Debian's /usr/lib/postgresql/15.
	PostgresInstalled string

	// TemporalSource is the directory of module temporalserver. Default: found
	// by walking up from the executable, then from the working directory.
	TemporalSource string
	// TemporalNamespace is created in the embedded server. Default: cartwheel.
	TemporalNamespace string
	// HoldTemporal leaves Temporal stopped until [Stack.StartTemporal].
	HoldTemporal bool

	// Only starts these parts alone; empty means all.
	Only []Part
	// Throwaway trades durability for speed, for tests.
	Throwaway bool
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("the stack has no data directory")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("resolve the data directory: %w", err)
	}
	c.Dir = dir
	if c.CacheDir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return c, fmt.Errorf("find the cache directory: %w", err)
		}
		c.CacheDir = filepath.Join(cache, "cartwheel")
	}
	if c.TemporalNamespace == "" {
		c.TemporalNamespace = "cartwheel"
	}
	if len(c.Only) == 0 {
		c.Only = Parts()
	}
	return c, nil
}

// Check says why a stack cannot start here, as far as that can be seen without
// leaving anything in the data directory.
func (c Config) Check() error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	return c.check()
}

func (c Config) check() error {
	if err := checkFormat(c.Dir); err != nil {
		return err
	}
	own := func(p Part, addr string) bool { return addr == "" && slices.Contains(c.Only, p) }
	if !own(Postgres, c.PostgresURL) && !own(Temporal, c.TemporalAddress) && !(c.Real && own(Kafka, strings.Join(c.KafkaBrokers, ","))) {
		return nil // nothing of it is needed
	}
	if err := os.MkdirAll(c.CacheDir, 0o755); err != nil {
		return fmt.Errorf("the cache directory %s cannot be made: choose another with CARTWHEEL_CACHE (%w)", c.CacheDir, err)
	}
	return nil
}

// Endpoints are the addresses of all parts, embedded or not. The JSON names are
// those that people script against.
type Endpoints struct {
	Kafka      string `json:"kafka"`       // host:port[,host:port…]
	Temporal   string `json:"temporal"`    // host:port
	TemporalUI string `json:"temporal_ui"` // http://host:port
	NATS       string `json:"nats"`        // nats://host:port
	MQTT       string `json:"mqtt"`        // host:port
	Redis      string `json:"redis"`       // host:port
	SMTP       string `json:"smtp"`        // host:port
	Inbox      string `json:"inbox"`       // http://host:port
	Postgres   string `json:"postgres"`    // postgres://user:password@host:port/postgres
}
