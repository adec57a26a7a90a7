package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
)

type sensorsCmd struct {
	server

	NATS     string        `name:"nats" placeholder:"URL" help:"NATS server; default: that of the shop on the data directory."`
	File     string        `type:"existingfile" placeholder:"FILE" help:"Play a series of timestamp,value lines; without it, made-up cold rooms."`
	Sensor   string        `default:"lab.bench.probe" help:"site.zone.device of the file's series."`
	Unit     string        `default:"C" help:"Unit of the file's series."`
	Speed    float64       `default:"0" help:"Play the file so many times as fast as it was recorded; 0: at once."`
	Interval time.Duration `default:"1s" help:"Between two frames of a made-up sensor."`
	Duration time.Duration `default:"0" help:"How long to play made-up sensors; 0: until stopped."`
}

// Help is shown by cartwheel sensors --help.
func (sensorsCmd) Help() string {
	return `Examples:
  cartwheel sensors
  cartwheel sensors --file machine_temperature_system_failure.csv --sensor plant.hall.machine`
}

// Run plays readings.
func (c *sensorsCmd) Run(ctx context.Context) error {
	switch {
	case c.Interval <= 0:
		return fmt.Errorf("--interval must be above 0, not %s", c.Interval)
	case c.Duration < 0:
		return fmt.Errorf("--duration must not be negative, as %s is", c.Duration)
	case !(c.Speed >= 0): // NaN is not
		return fmt.Errorf("--speed must not be negative, as %g is", c.Speed)
	}
	url := c.NATS
	if url == "" {
		e, err := c.endpoints()
		if err != nil {
			return err
		}
		url = e.NATS
	}
	if c.File == "" {
		return playColdRooms(ctx, url, c.Interval, c.Duration)
	}
	return c.playFile(ctx, url)
}

// sample and frame are what devices publish, see docs/architecture.md.
type sample struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

type frame struct {
	Number  int64    `json:"frame"`
	Unit    string   `json:"unit"`
	Samples []sample `json:"samples"`
}

// device publishes frames to NATS JetStream through Watermill.
type device struct {
	pub    message.Publisher
	topic  string
	unit   string
	number int64
}

func natsPublisher(url string) (message.Publisher, error) {
	pub, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL: url, Marshaler: &wmnats.NATSMarshaler{},
		JetStream: wmnats.JetStreamConfig{AutoProvision: false}, // analytics makes the stream
	}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("NATS at %s: %w", url, err)
	}
	return pub, nil
}

func (d *device) publish(samples ...sample) error {
	d.number++
	raw, err := json.Marshal(frame{Number: d.number, Unit: d.unit, Samples: samples})
	if err != nil {
		return err
	}
	if err := d.pub.Publish(d.topic, message.NewMessage(watermill.NewUUID(), raw)); err != nil {
		return fmt.Errorf("publish to %s: %w", d.topic, err)
	}
	return nil
}

// coldRoom is a made-up sensor: a temperature that swings with the compressor.
type coldRoom struct {
	device
	normal, swing float64
}

// playColdRooms plays a few rooms of a warehouse.
func playColdRooms(ctx context.Context, url string, every, duration time.Duration) error {
	pub, err := natsPublisher(url)
	if err != nil {
		return err
	}
	defer pub.Close()
	room := func(zone, name string, normal, swing float64) *coldRoom {
		// Frames count on over restarts, by the clock.
		return &coldRoom{device{pub, "telemetry.warehouse." + zone + "." + name, "C", time.Now().UnixMilli()}, normal, swing}
	}
	rooms := []*coldRoom{room("chilled", "room-1", 3.5, 0.6), room("chilled", "room-2", 4.1, 0.7), room("frozen", "room-3", -20, 1.1), room("frozen", "room-4", -19, 1.2), room("ambient", "hall", 18.5, 0.8)}
	var end <-chan time.Time
	if duration > 0 {
		end = time.After(duration)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		now := time.Now().UTC()
		for i, r := range rooms {
			phase := float64(now.UnixMilli())/60_000 + float64(i)
			if err := r.publish(sample{now, math.Round(100*(r.normal+r.swing*math.Sin(phase)+0.1*rand.NormFloat64())) / 100}); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var sensorName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}$`)

const frameSamples = 100

// playFile plays a recorded series with its own times.
func (c *sensorsCmd) playFile(ctx context.Context, url string) error {
	if !sensorName.MatchString(c.Sensor) {
		return fmt.Errorf("--sensor must be site.zone.device, not %q", c.Sensor)
	}
	samples, err := readSeries(c.File)
	if err != nil {
		return err
	}
	pub, err := natsPublisher(url)
	if err != nil {
		return err
	}
	defer pub.Close()
	d := &device{pub: pub, topic: "telemetry." + c.Sensor, unit: c.Unit}
	per := frameSamples
	if c.Speed > 0 {
		per = 1
	}
	bar := progress(len(samples), "samples", false)
	for i := 0; i < len(samples); i += per {
		if c.Speed > 0 && i > 0 && !sleepUntil(ctx, time.Now().Add(time.Duration(float64(samples[i].At.Sub(samples[i-1].At))/c.Speed))) || ctx.Err() != nil {
			return ctx.Err()
		}
		part := samples[i:min(i+per, len(samples))]
		if err := d.publish(part...); err != nil {
			return err
		}
		_ = bar.Add(len(part))
	}
	_ = bar.Finish()
	fmt.Printf("published %d samples of %s in %d frames\n", len(samples), c.Sensor, d.number)
	return nil
}

// readSeries reads "timestamp,value" lines under one header line.
func readSeries(file string) ([]sample, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []sample
	scan := bufio.NewScanner(f)
	for line := 1; scan.Scan(); line++ {
		text := strings.TrimSpace(scan.Text())
		if text == "" || line == 1 && strings.HasPrefix(text, "timestamp") {
			continue
		}
		at, value, _ := strings.Cut(text, ",")
		when, err := time.Parse(time.DateTime, strings.TrimSuffix(at, ".000000"))
		number, numErr := strconv.ParseFloat(value, 64)
		if err != nil || numErr != nil || math.IsNaN(number) || math.IsInf(number, 0) {
			return nil, fmt.Errorf("%s, line %d: expected timestamp,value like 2014-02-14 14:30:00,71.5", file, line)
		}
		out = append(out, sample{when, number})
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no readings", file)
	}
	return out, nil
}
