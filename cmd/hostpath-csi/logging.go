package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// logOptions are the flags about logging that every long-running command has.
type logOptions struct {
	format    string
	verbosity int

	flags flag.FlagSet   // klog's
	level *slog.LevelVar // of the JSON handler
}

func (o *logOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.format, "log-format", "text", "how to log: text or json")
	flags.IntVarP(&o.verbosity, "v", "v", 0, "how much to log: 0 what an operator must know, 2 refused calls, 4 every call, 5 requests (without secrets)")
}

// during runs a role, with logging to standard error, until it ends by itself or is told
// to by a signal. How to log, a configuration file may say, too: file, if it is not "".
func (o *logOptions) during(ctx context.Context, file string, role func(ctx context.Context) error) error {
	o.formatFrom(file)
	if err := o.apply(os.Stderr); err != nil {
		return err
	}
	defer klog.Flush()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return role(ctx)
}

// formatFrom takes the format that a configuration file gives. klog can be told only
// before anybody logs: so that is before the role begins, which then says what is wrong
// with the file.
func (o *logOptions) formatFrom(file string) {
	if file == "" {
		return
	}
	if c, err := readConfig(file, nil); err == nil && c.Log.Format != "" {
		o.format = c.Log.Format
	}
}

// apply sets up logging to w.
func (o *logOptions) apply(w io.Writer) error {
	if o.verbosity < 0 {
		return fmt.Errorf("-v is %d; it takes 0 or more", o.verbosity)
	}
	klog.InitFlags(&o.flags)
	o.level = new(slog.LevelVar)
	for name, value := range map[string]string{
		"one_output":      "true",  // an error once, not once more for each lower severity
		"stderrthreshold": "FATAL", // nor once more for standard error
	} {
		if err := o.flags.Set(name, value); err != nil {
			return err
		}
	}
	if err := o.setVerbosity(o.verbosity); err != nil {
		return err
	}
	switch o.format {
	case "text":
		klog.LogToStderr(false)
		klog.SetOutput(w)
	case "json":
		handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.level, ReplaceAttr: durationsAsText})
		klog.SetSlogLogger(slog.New(handler))
	default:
		return fmt.Errorf("--log-format is %q; it takes text or json", o.format)
	}
	return nil
}

// setVerbosity sets how much is logged; apply has to have been called.
func (o *logOptions) setVerbosity(v int) error {
	o.level.Set(slog.Level(-v))
	return o.flags.Set("v", strconv.Itoa(v))
}

// durationsAsText shows "1.5ms" where slog would show nanoseconds.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}
