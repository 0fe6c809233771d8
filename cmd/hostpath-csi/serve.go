package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
)

// grace is how long calls in flight may take after SIGTERM.
const grace = 10 * time.Second

// serveOptions say where a role serves.
type serveOptions struct {
	endpoint        string
	metricsAddress  string
	healthAddress   string
	pprofAddress    string
	tracingEndpoint string
	registry        string // the kubelet's; see addNodeFlags

	// detail is what /readyz tells beside what it tells anyway; nil: nothing.
	detail func() string
}

func (o *serveOptions) addFlags(flags *pflag.FlagSet, endpoint string) {
	flags.StringVar(&o.endpoint, "endpoint", endpoint, "socket to serve CSI on")
	flags.StringVar(&o.metricsAddress, "metrics-address", "", "HOST:PORT to serve /metrics, /healthz and /readyz on (default: nowhere)")
	flags.StringVar(&o.pprofAddress, "pprof-address", "", "HOST:PORT of loopback to serve /debug/pprof on (default: nowhere)")
	flags.StringVar(&o.tracingEndpoint, "tracing-endpoint", "", "http://HOST:PORT or https://HOST:PORT of a collector to send OpenTelemetry spans of calls to, by OTLP over gRPC (default: none)")
	flags.StringVar(&o.healthAddress, "health-address", "", "HOST:PORT to serve the gRPC health protocol on, for probes of the kubelet (default: on the endpoint alone)")
}

// addNodeFlags adds those of roles that a kubelet calls.
func (o *serveOptions) addNodeFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.registry, "plugin-registry", "", "the kubelet's directory of plugins, to register in (default: do not register)")
}

// serve answers calls until ctx ends, and then those in flight.
func (o *serveOptions) serve(ctx context.Context, s *driver.Server, offered []prometheus.Collector) error {
	l, err := driver.Listen(o.endpoint)
	if err != nil {
		return err
	}
	stopMetrics, err := serveMetrics(o.metricsAddress, s, append(s.Collectors(), offered...), o.detail)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer stopMetrics()
	stopPprof, err := servePprof(o.pprofAddress)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer stopPprof()
	if err := o.serveHealth(s); err != nil {
		return errors.Join(err, l.Close())
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	klog.InfoS("Serving", "endpoint", o.endpoint)
	stopRegistration, err := o.register()
	if err != nil {
		s.Stop(0)
		return errors.Join(err, <-served)
	}
	select {
	case err := <-served:
		stopRegistration()
		return err
	case <-ctx.Done():
	}
	stopRegistration() // first, so that the kubelet calls nobody who turns it away
	klog.InfoS("Stopping; letting calls in flight end", "atMost", grace)
	s.Stop(grace)
	return <-served
}

// serveHealth answers probes until the server stops.
func (o *serveOptions) serveHealth(s *driver.Server) error {
	if o.healthAddress == "" {
		return nil
	}
	l, err := net.Listen("tcp", o.healthAddress)
	if err != nil {
		return fmt.Errorf("--health-address: %w", err)
	}
	go func() {
		if err := s.ServeHealth(l); err != nil {
			klog.ErrorS(err, "Serving the health protocol ended", "address", o.healthAddress)
		}
	}()
	return nil
}

// register makes the driver known to the kubelet, if there is one.
func (o *serveOptions) register() (stop func(), err error) {
	if o.registry == "" {
		return func() {}, nil
	}
	r, err := driver.Register(o.registry, o.endpoint)
	if err != nil {
		return nil, fmt.Errorf("--plugin-registry: %w", err)
	}
	return func() { closing("the registration", r.Close) }, nil
}

func closing(what string, f func() error) {
	if err := f(); err != nil {
		klog.ErrorS(err, "Closing failed", "what", what)
	}
}
