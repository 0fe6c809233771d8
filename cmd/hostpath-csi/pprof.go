package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// servePprof serves /debug/pprof on an address of loopback, or nothing if it is empty.
// Profiles tell of all that the driver knows, and taking one costs; they are for those
// who are on the machine.
func servePprof(address string) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--pprof-address is %s; it takes HOST:PORT, such as 127.0.0.1:6060: %w", state.Quote(address), err)
	}
	if !at.IP.IsLoopback() { // nil, which is every address, is not
		return nil, fmt.Errorf("--pprof-address is %s; it takes an address of loopback only, such as 127.0.0.1:6060", state.Quote(address))
	}
	mux := http.NewServeMux()
	for path, handler := range map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace} {
		mux.HandleFunc("/debug/pprof/"+path, handler)
	}
	l, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--pprof-address: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			klog.ErrorS(err, "Serving profiles ended")
		}
	}()
	klog.InfoS("Serving profiles", "address", l.Addr())
	return func() { _ = server.Close() }, nil
}
