package main

import (
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2/textlogger"
)

// The formats of the log.
const (
	asText = "text"
	asJSON = "json"
)

// formatSink writes what is logged as text or as JSON, and can be told to change over
// while others log. Sinks that are made of it change over with it.
type formatSink struct {
	text, json logr.LogSink
	level      slog.Leveler
	inJSON     *atomic.Bool
}

var _ logr.CallDepthLogSink = (*formatSink)(nil)

func newFormatSink(w io.Writer, level slog.Leveler) *formatSink {
	asLines := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(w)))
	asObjects := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: durationsAsText})
	return &formatSink{text: asLines.GetSink(), json: logr.FromSlogHandler(asObjects).GetSink(), level: level, inJSON: new(atomic.Bool)}
}

// use changes over to a format; false if there is none of that name.
func (s *formatSink) use(format string) bool {
	if format != asText && format != asJSON {
		return false
	}
	s.inJSON.Store(format == asJSON)
	return true
}

func (s *formatSink) now() logr.LogSink {
	if s.inJSON.Load() {
		return s.json
	}
	return s.text
}

// Init implements logr.LogSink. This sink is a frame more between who logs and who writes.
func (s *formatSink) Init(info logr.RuntimeInfo) {
	info.CallDepth++
	s.text.Init(info)
	s.json.Init(info)
}

// Enabled implements logr.LogSink.
func (s *formatSink) Enabled(level int) bool { return slog.Level(-level) >= s.level.Level() }

// Info implements logr.LogSink.
func (s *formatSink) Info(level int, msg string, with ...any) { s.now().Info(level, msg, with...) }

// Error implements logr.LogSink.
func (s *formatSink) Error(err error, msg string, with ...any) { s.now().Error(err, msg, with...) }

// WithValues implements logr.LogSink.
func (s *formatSink) WithValues(with ...any) logr.LogSink {
	return s.of(func(sink logr.LogSink) logr.LogSink { return sink.WithValues(with...) })
}

// WithName implements logr.LogSink.
func (s *formatSink) WithName(name string) logr.LogSink {
	return s.of(func(sink logr.LogSink) logr.LogSink { return sink.WithName(name) })
}

// WithCallDepth implements logr.CallDepthLogSink, so that text tells the line that logs.
func (s *formatSink) WithCallDepth(depth int) logr.LogSink {
	return s.of(func(sink logr.LogSink) logr.LogSink {
		if deep, ok := sink.(logr.CallDepthLogSink); ok {
			return deep.WithCallDepth(depth)
		}
		return sink
	})
}

// of returns a sink of what both become.
func (s *formatSink) of(become func(logr.LogSink) logr.LogSink) *formatSink {
	made := *s
	made.text, made.json = become(s.text), become(s.json)
	return &made
}

// durationsAsText shows "1.5ms" where slog would show nanoseconds.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}
