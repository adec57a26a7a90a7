// Command cartwheel is the whole shop in one command, and the tools to fill it,
// look into it and check it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/cartwheel-shop/cartwheel/cmd/cartwheel/internal/bench"
)

// Exit statuses.
const (
	exitFailed  = 1  // it could not be done; the sentence says why and what to do
	exitBroken  = 2  // it was done, and what was checked does not hold
	exitUsage   = 80 // the command line is wrong
	exitStopped = 130
)

// errBroken is the error of a command that worked and found something wrong; it
// has printed what.
var errBroken = errors.New("something does not hold")

// cli is the command line.
type cli struct {
	Up       upCmd       `cmd:"" help:"Run the whole shop: five services, console, and every dependency that has no address."`
	Load     loadCmd     `cmd:"" help:"Send orders: synthetic shoppers at a rate, or purchases from a file."`
	Sensors  sensorsCmd  `cmd:"" help:"Play sensor readings over NATS, made up or from a file."`
	Events   eventsCmd   `cmd:"" help:"Look at events: tail, catalogue, validate."`
	DLQ      dlqCmd      `cmd:"" name:"dlq" help:"Dead letters: list, show, redrive, discard."`
	Outbox   outboxCmd   `cmd:"" help:"Facts that Kafka refused for good: parked, release, discard."`
	Scenario scenarioCmd `cmd:"" help:"Play what the shop is shown to do right, and see whether it does."`
	Check    checkCmd    `cmd:"" help:"Check the shop's invariants."`
	Bench    benchCmd    `cmd:"" help:"Measure, side by side with what it is compared with."`
	Drain    drainCmd    `cmd:"" hidden:"" help:"A relay alone, for bench relay."`
	Doctor   doctorCmd   `cmd:"" help:"Say what this machine lacks, and the command that mends it."`
	Serve    serveCmd    `cmd:"" hidden:"" help:"Run one service, for a shop that is going to kill it."`
	Docs     docsCmd     `cmd:"" hidden:"" help:"Write the generated documents."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("cartwheel"),
		kong.Description("An event-driven shop that runs from one command. Try: cartwheel up --demo"),
		kong.Vars{"data": defaultData(), "benches": strings.Join(bench.Names(), ", ")},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the command line's own definition is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cartwheel: %v: see cartwheel %s--help\n", err, command(err))
		return exitUsage
	}
	err = parsed.Run()
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errBroken):
		return exitBroken
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitStopped
	}
	fmt.Fprintln(os.Stderr, "cartwheel: "+err.Error())
	return exitFailed
}

// command names the command whose flags are wrong, with a space behind it; empty
// when there is none.
func command(err error) string {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) {
		return ""
	}
	name := ""
	for _, p := range wrong.Context.Path {
		if p.Command != nil {
			name += p.Command.Name + " "
		}
	}
	return name
}

// defaultData is the per-user data directory.
func defaultData() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "cartwheel")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "cartwheel")
	}
	return filepath.Join(home, ".local", "share", "cartwheel")
}
