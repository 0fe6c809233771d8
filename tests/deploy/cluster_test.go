//go:build kubestore

package deploy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/hostpath-csi/hostpath-csi/tests/apiserver"
)

// server is the API server of all tests here, with overlays/default in it and snapshots.
// See `make kube-store`.
var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "deploy")
	if err != nil {
		return failed(err)
	}
	defer func() {
		if code == 0 {
			os.RemoveAll(dir)
		}
	}()
	ctx := context.Background()
	server, err = apiserver.Start(ctx, dir)
	if err != nil {
		return failed(err)
	}
	defer server.Stop()
	objects, err := overlay("overlays/default")
	if err != nil {
		return failed(err)
	}
	for range 2 { // the second time as an upgrade does
		if err := apply(ctx, dir, objects); err != nil {
			return failed(err)
		}
	}
	if _, err := server.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinitions", "--all"); err != nil {
		return failed(err)
	}
	return m.Run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// apply applies objects as they would be by a person.
func apply(ctx context.Context, dir string, objects []object, flags ...string) error {
	file := filepath.Join(dir, "objects.yaml")
	var stream []byte
	for _, o := range objects {
		encoded, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		stream = append(append(stream, "---\n"...), encoded...)
	}
	if err := os.WriteFile(file, stream, 0o644); err != nil {
		return err
	}
	_, err := server.Kubectl(ctx, append([]string{"apply", "--server-side", "--force-conflicts", "--filename=" + file}, flags...)...)
	return err
}

// as returns how to reach the API server with the token of an account of ours, in a pod on a
// node, if one is named.
func as(account, node string) *rest.Config {
	config := server.Config()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	if node != "" {
		config.Impersonate.Extra = map[string][]string{"authentication.kubernetes.io/node-name": {node}}
	}
	return config
}
