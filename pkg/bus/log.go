package bus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/twmb/franz-go/pkg/kgo"
)

// rareLog lets one line through in a while.
type rareLog struct {
	every time.Duration
	mu    sync.Mutex
	last  time.Time
}

func (r *rareLog) allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.last.IsZero() && now.Sub(r.last) < r.every {
		return false
	}
	r.last = now
	return true
}

// clientLog makes franz-go's warnings ours, so that a broker that is away is
// heard of, but not a thousand times.
type clientLog struct {
	log  *slog.Logger
	rare *rareLog
}

// Level implements kgo.Logger.
func (*clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l *clientLog) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	if l.rare.allow(time.Now()) {
		l.log.Warn("kafka: "+msg, keyvals...)
	}
}

// watermillLog hides Watermill's own notices below warnings.
func watermillLog(log *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLogger(slog.New(minLevel{log.Handler(), slog.LevelWarn}))
}

type minLevel struct {
	slog.Handler
	level slog.Level
}

// Enabled implements slog.Handler.
func (h minLevel) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h minLevel) WithAttrs(attrs []slog.Attr) slog.Handler {
	return minLevel{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements slog.Handler.
func (h minLevel) WithGroup(name string) slog.Handler {
	return minLevel{h.Handler.WithGroup(name), h.level}
}

// wait sleeps for d; false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
