//go:build kubestore

package kube

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/apiserver"
)

// server is the API server of all tests here. See `make kube-store`.
var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "kubestore")
	if err != nil {
		return failed(err)
	}
	defer func() {
		if code == 0 {
			os.RemoveAll(dir)
		}
	}()
	server, err = apiserver.Start(context.Background(), dir)
	if err != nil {
		return failed(err)
	}
	defer server.Stop()
	if err := server.Apply(context.Background(), "../../../deploy/base/crd"); err != nil {
		return failed(err)
	}
	return m.Run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
