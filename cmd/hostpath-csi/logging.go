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

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

// logOptions are the flags about logging that every long-running command has.
type logOptions struct {
	format    string
	verbosity int

	flags flag.FlagSet   // klog's
	level *slog.LevelVar // of what klog hands on
	sink  *formatSink
}

func (o *logOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.format, "log-format", asText, "how to log: text or json")
	flags.IntVarP(&o.verbosity, "v", "v", 0, "how much to log: 0 what an operator must know, 2 refused calls, 4 every call, 5 requests (without secrets)")
}

// during runs a role, with logging to standard error, until it ends by itself or is told
// to by a signal. How to log, a configuration file may say, too: file, if it is not "".
func (o *logOptions) during(ctx context.Context, file string, role func(ctx context.Context) error) error {
	if err := o.apply(os.Stderr); err != nil {
		return err
	}
	defer klog.Flush()
	if err := o.followFile(file); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return role(ctx)
}

// followFile has what a configuration file says hold from the first line on. What is wrong
// with the file, the role says, which reads it again.
func (o *logOptions) followFile(file string) error {
	if file == "" {
		return nil
	}
	c, err := readConfig(file, nil)
	if err != nil {
		return nil
	}
	return o.follow(c.Log)
}

// apply sets up logging to w, as the flags say.
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
	klog.LogToStderr(false)
	klog.SetOutput(w) // what klog itself writes when it ends the process
	o.sink = newFormatSink(w, o.level)
	if err := o.follow(config.Log{}); err != nil {
		return err
	}
	// Once, and before anybody logs: klog cannot be given another while somebody does.
	klog.SetLoggerWithOptions(logr.New(o.sink), klog.ContextualLogger(true))
	return nil
}

// follow logs as a configuration says, at any time, and as the flags say where it says
// nothing; apply has to have been called.
func (o *logOptions) follow(wanted config.Log) error {
	format, verbosity := o.format, o.verbosity
	if wanted.Format != "" {
		format = wanted.Format
	}
	if wanted.Verbosity != nil {
		verbosity = *wanted.Verbosity
	}
	if !o.sink.use(format) {
		return fmt.Errorf("--log-format is %q; it takes text or json", format)
	}
	o.level.Set(slog.Level(-verbosity))
	return o.flags.Set("v", strconv.Itoa(verbosity))
}
