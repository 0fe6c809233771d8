package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestProfilesAreServedOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{":6060", "0.0.0.0:6060", "[::]:6060", "192.0.2.1:6060", "6060", "127.0.0.1", "127.0.0.1:http:x", "/run/pprof.sock"} {
		if stop, err := servePprof(address); err == nil || !strings.Contains(err.Error(), "such as 127.0.0.1:6060") {
			if stop != nil {
				stop()
			}
			t.Errorf("%s: %v", address, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	if _, err := servePprof(address); err == nil || !strings.HasPrefix(err.Error(), "--pprof-address: ") {
		t.Errorf("an address that is taken: %v", err)
	}
	must(t, l.Close())
	stop, err := servePprof(address)
	must(t, err)
	resp, err := http.Get("http://" + address + "/debug/pprof/goroutine?debug=1")
	must(t, err)
	b, err := io.ReadAll(resp.Body)
	must(t, err, resp.Body.Close())
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(b), "goroutine profile: total") {
		t.Errorf("%s: %.100s", resp.Status, b)
	}
	stop()
	if _, err := http.Get("http://" + address + "/debug/pprof/"); err == nil {
		t.Error("profiles are served after the end")
	}
	if stop, err := servePprof(""); err != nil {
		t.Error(err)
	} else {
		stop()
	}
}
