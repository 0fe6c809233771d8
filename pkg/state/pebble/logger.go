package pebble

import (
	"fmt"

	"k8s.io/klog/v2"
)

// logger gives pebble's messages to klog.
type logger struct{}

func (logger) Infof(format string, args ...any) {
	if v := klog.V(4); v.Enabled() {
		v.InfoS("Pebble", "message", fmt.Sprintf(format, args...))
	}
}

func (logger) Errorf(format string, args ...any) {
	klog.ErrorS(nil, "Pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf is called when pebble can neither go on nor take back what it did: a
// write or fsync of a log failed. It must not return.
func (logger) Fatalf(format string, args ...any) {
	die(format, args...)
}

// die ends the process with a message. There is nobody to return an error to:
// other commits wait for the same log, and what of them is on the disk only the
// next start can tell.
func die(format string, args ...any) {
	klog.ErrorS(nil, "The state store failed and ends the process; it is read back at the next start",
		"cause", fmt.Sprintf(format, args...))
	klog.FlushAndExit(klog.ExitFlushTimeout, 1)
}
