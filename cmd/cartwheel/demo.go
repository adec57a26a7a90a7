package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// history is the beginning of the CDNOW data set; data/README.md names its
// source.
//
//go:embed data/cdnow-500.txt
var history []byte

// demo fills a shop: the history, unless it is there already, and sensors for as
// long as the shop runs.
func demo(ctx context.Context, e endpoints, out *lines) error {
	go func() {
		if err := playColdRooms(ctx, e.NATS, time.Second, 0); err != nil && ctx.Err() == nil {
			out.say("sensors", "stopped: "+err.Error())
		}
	}()
	out.say("sensors", "playing")

	dir, err := os.MkdirTemp("", "cartwheel-history")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "cdnow-500.txt")
	if err := os.WriteFile(file, history, 0o600); err != nil {
		return err
	}
	purchases, bad, err := readCDNOW(file, 1, 0)
	if err := errors.Join(append(bad, err)...); err != nil {
		return fmt.Errorf("the history is damaged: %w", err)
	}
	base, err := url.Parse(e.Console)
	if err != nil {
		return err
	}
	c := &client{base: base, patience: patience, token: os.Getenv("OPERATOR_TOKEN"), http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	var requests []request
	for _, p := range purchases {
		requests = append(requests, p.request())
	}
	out.say("history", fmt.Sprintf("loading %d purchases", len(requests)))
	done, last := 0, time.Now()
	progress := make(chan struct{}, len(requests))
	go func() {
		for range progress {
			if done++; time.Since(last) > 5*time.Second {
				last = time.Now()
				out.say("history", fmt.Sprintf("%d of %d orders completed", done, len(requests)))
			}
		}
	}()
	result, err := send(ctx, c, requests, 0, 16, func() { progress <- struct{}{} })
	close(progress)
	if err == nil {
		out.say("history", fmt.Sprintf("%d orders completed, %d were there already", result.Statuses["completed"]-result.Replayed, result.Replayed))
	}
	return err
}
