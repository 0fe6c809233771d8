package engine

import (
	"context"
	"log"
)

// silent is a logger for pebble that tells only what ends the program.
type silent struct{}

func (silent) Infof(string, ...any)                           {}
func (silent) Errorf(string, ...any)                          {}
func (silent) Fatalf(format string, args ...any)              { log.Fatalf(format, args...) }
func (silent) Eventf(context.Context, string, ...interface{}) {}
func (silent) IsTracingEnabled(context.Context) bool          { return false }
