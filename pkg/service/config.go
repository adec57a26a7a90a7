package service

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// Base is the configuration that all services share. Each service embeds it in
// its own Config. Tags: env names the variable, envDefault its default, form what
// it must look like (address, http, nats or count), doc its line in
// docs/configuration.md, secret masks it in logs.
type Base struct {
	Listen string `env:"LISTEN" envDefault:"127.0.0.1:0" form:"address" doc:"address of the HTTP listener; port 0 picks a free one"`

	PostgresURL  string   `env:"POSTGRES_URL,required,notEmpty" secret:"true" form:"postgres" doc:"Postgres server and a role with CREATEDB; the service makes its own database there; what the URL leaves out is read from PGUSER and PGPASSWORD"`
	KafkaBrokers []string `env:"KAFKA_BROKERS,required,notEmpty" form:"address" doc:"comma-separated host:port of Kafka brokers"`
	NATSURL      string   `env:"NATS_URL,required,notEmpty" form:"nats" doc:"NATS server, nats://host:port"`

	TemporalAddress   string `env:"TEMPORAL_ADDRESS" envDefault:"127.0.0.1:7233" form:"address" doc:"host:port of the Temporal frontend"`
	TemporalNamespace string `env:"TEMPORAL_NAMESPACE" envDefault:"cartwheel" doc:"Temporal namespace of the saga"`

	BusDriver string `env:"BUS_DRIVER" envDefault:"franz" form:"driver" doc:"Kafka driver behind Watermill's interfaces: franz or watermill-kafka"`

	OperatorToken string `env:"OPERATOR_TOKEN" secret:"true" doc:"bearer token for what changes other people's orders or the system"`
	OperatorOpen  bool   `env:"OPERATOR_OPEN" envDefault:"false" doc:"true: operator calls need no token, because only loopback can reach the shop"`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" doc:"text or json"`

	Faults string `env:"FAULTS" envDefault:"off" doc:"off, on (what goes wrong on purpose is set at /internal/faults), or faults to start with, as package fault reads them: provider.after=kill from=3"`

	PoolSize int32 `env:"POSTGRES_POOL" envDefault:"12" form:"count" doc:"most Postgres connections of one service"`
}

// Load reads a configuration struct from environ, a map of variables as
// [Environ] makes it. An error names every variable that is wrong or missing, and
// says what it must be.
func Load[C any](environ map[string]string) (C, error) {
	var cfg C
	err := env.ParseWithOptions(&cfg, env.Options{Environment: environ})
	var all env.AggregateError
	errors.As(err, &all)
	var wrong []string
	for _, v := range Variables(cfg) {
		if fault := v.fault(environ[v.Name], all.Errors); fault != "" {
			wrong = append(wrong, fault)
		}
	}
	if len(wrong) > 0 {
		return cfg, fmt.Errorf("configuration: %s", strings.Join(wrong, "; "))
	}
	return cfg, err // of a struct that cannot be a configuration
}

// fault is the sentence that says what is wrong with a variable's value, or empty.
// The env package's errors name Go fields, which nobody has set.
func (v Variable) fault(value string, errs []error) string {
	for _, err := range errs {
		var parse env.ParseError
		var unset env.VarIsNotSetError
		var empty env.EmptyVarError
		switch {
		case errors.As(err, &parse) && parse.Name == v.Field:
			return v.mustBe(likeOf(parse.Type), value)
		case errors.As(err, &unset) && unset.Key == v.Name, errors.As(err, &empty) && empty.Key == v.Name:
			return fmt.Sprintf("%s is missing (%s)", v.Name, v.Doc)
		}
	}
	if f, ok := forms[v.Form]; ok && value != "" && !f.holds(value, v.list) {
		return v.mustBe(f.like, value)
	}
	return ""
}

// mustBe is the sentence about a wrong value.
func (v Variable) mustBe(like, value string) string {
	if v.Secret {
		return fmt.Sprintf("%s must be %s (%s)", v.Name, like, v.Doc)
	}
	return fmt.Sprintf("%s must be %s, not %q (%s)", v.Name, like, value, v.Doc)
}

// Environ returns the process's environment as a map.
func Environ() map[string]string { return env.ToMap(os.Environ()) }

// Variable describes an environment variable of a configuration struct.
type Variable struct {
	Name, Field, Default, Doc string
	Form                      string // of [forms], or empty
	Required, Secret          bool
	Value                     string // of the struct given, "***" for a secret that is set

	list bool
}

// Variables lists what a configuration struct reads from the environment, in
// the order of its fields, embedded structs first where they stand.
func Variables(cfg any) []Variable {
	return variables(reflect.ValueOf(cfg))
}

func variables(v reflect.Value) []Variable {
	var out []Variable
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			out = append(out, variables(v.Field(i))...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("env"), ",")
		if name == "" || name == "-" {
			continue
		}
		item := Variable{
			Name: name, Field: f.Name, Default: f.Tag.Get("envDefault"), Doc: f.Tag.Get("doc"),
			Required: strings.Contains(options, "required"), Secret: f.Tag.Get("secret") == "true",
			Form: f.Tag.Get("form"), list: f.Type.Kind() == reflect.Slice,
			Value: fmt.Sprint(v.Field(i).Interface()),
		}
		if item.Secret && item.Value != "" {
			item.Value = "***"
		}
		out = append(out, item)
	}
	return out
}

// API is the HTTP configuration.
func (b Base) API(log *slog.Logger) httpapi.Config {
	return httpapi.Config{OperatorToken: b.OperatorToken, OperatorOpen: b.OperatorOpen, Log: log}
}
