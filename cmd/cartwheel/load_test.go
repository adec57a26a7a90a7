package main

import (
	"strings"
	"testing"
)

// What cannot be sent is said in one sentence, before anything is asked of the shop.
func TestLoadIsRefused(t *testing.T) {
	url, asked := emptyShop(t)
	for args, want := range map[string]string{
		"--rate=NaN":                      "--rate must be above 0",
		"--rate=0":                        "--rate must be above 0",
		"--rate=-1":                       "--rate must be above 0",
		"--rate=1001":                     "--rate must be above 0 and at most 1000",
		"--duration=0s":                   "1 to 1000000 orders",
		"--duration=-1s":                  "1 to 1000000 orders",
		"--rate=1000 --duration=1000000h": "1 to 1000000 orders",
		"--count=5":                       "name it with --file",
		"--from=2":                        "name it with --file",
		"--skip-bad":                      "name it with --file",
		"--in-flight=0":                   "--in-flight must be at least 1",
		"--server=ftp://shop":             "--server must be http://host:port",
		"--server=127.0.0.1:8080":         "--server must be http://host:port",
	} {
		_, errs, status := cartwheel(t, append([]string{"load", "--server", url}, strings.Fields(args)...)...)
		if status != exitFailed || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("load %s: status %d, %q; want %q", args, status, errs, want)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the shop was asked %d times", n)
	}
}

// Nor is anything played or shown that cannot be.
func TestSensorsAndTailAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"sensors --interval=0s":             "--interval must be above 0",
		"sensors --interval=-1s":            "--interval must be above 0",
		"sensors --duration=-1s":            "--duration must not be negative",
		"sensors --speed=-1":                "--speed must not be negative",
		"sensors --speed=NaN":               "--speed must not be negative",
		"events tail --topics=orders,moons": `there is no topic "moons": choose of orders`,
	} {
		_, errs, status := cartwheel(t, strings.Fields(args)...)
		if status != exitFailed || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: status %d, %q; want %q", args, status, errs, want)
		}
	}
}
