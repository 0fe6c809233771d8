// Package rules tests the shape of the repository: who may import whom, and what lies in it.
package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hostpath-csi/hostpath-csi"

// mayImport names, for each folder of pkg, the other folders of pkg that it may
// import, itself aside. A new folder gets a line here. Everything is listed so
// that arrows point one way only:
//
//	cmd ─► driver ─► state          cmd ─► agent ─► backend ─► state
//
// Driver and agent meet in the records of a store and nowhere else.
var mayImport = map[string][]string{
	"crash":   {},
	"state":   {"crash"},
	"mount":   {"state", "crash", "loop"},
	"loop":    {"state"},
	"quota":   {"state"},
	"config":  {"state"},
	"backend": {"state", "crash", "mount", "quota", "loop"},
	"agent":   {"state", "crash", "mount", "config", "backend"},
	"driver":  {"state", "crash", "mount", "config"},
	"cluster": {"state"},
	"show":    {"state"},
	"inspect": {"state", "backend", "mount", "quota"},
	"doctor":  {"state", "backend", "mount", "quota"},
}

// rpcModules are for pkg/driver, cmd and tests only.
var rpcModules = []string{"google.golang.org/grpc", "github.com/container-storage-interface/spec"}

// kubeModules are for the store that keeps its records in Kubernetes, pkg/state/kube,
// for what the driver sees of a cluster beside them, pkg/cluster, and for cmd and tests:
// whoever else spoke to the API server would go past the records.
// What apimachinery has for labels and quantities speaks to nobody, and is for all.
var kubeModules = []string{"k8s.io/api", "k8s.io/apimachinery/pkg/apis", "k8s.io/apimachinery/pkg/runtime", "k8s.io/client-go", "sigs.k8s.io/controller-runtime"}

var kubeRooms = []string{"pkg/state/kube", "pkg/cluster"}

// pkg is what `go list -json` tells about one package, as far as it matters here.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestImports(t *testing.T) {
	for _, tags := range []string{"", "crashtest", "kubestore"} {
		known := false // an arrow that is surely there, so that the list is not empty
		for _, p := range list(t, tags) {
			known = known || p.ImportPath == module+"/pkg/backend" && slices.Contains(p.Imports, module+"/pkg/state")
			for _, complaint := range check(p) {
				t.Error(complaint)
			}
		}
		if !known {
			t.Error("go list does not tell that pkg/backend imports pkg/state")
		}
	}
}

// TestCheckComplains shows that the rules can be broken.
func TestCheckComplains(t *testing.T) {
	ours := func(path string) string { return module + "/" + path }
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"cmd/hostpath-csi", ours("pkg/driver"), true},
		{"tests/sanity", ours("pkg/agent"), true},
		{"tests/sanity", "google.golang.org/grpc", true},
		{"pkg/driver", "google.golang.org/grpc/codes", true},
		{"pkg/driver", ours("pkg/state"), true},
		{"pkg/driver", ours("pkg/agent"), false},
		{"pkg/driver", ours("pkg/backend"), false},
		{"pkg/driver", ours("pkg/backend/plain"), false},
		{"pkg/agent", ours("pkg/driver"), false},
		{"pkg/agent", ours("pkg/backend/plain"), true},
		{"pkg/agent", "google.golang.org/grpc/status", false},
		{"pkg/agent", "github.com/container-storage-interface/spec/lib/go/csi", false},
		{"pkg/backend/plain", ours("pkg/backend"), true},
		{"pkg/backend/plain", ours("pkg/agent"), false},
		{"pkg/state/bolt", ours("pkg/state"), true},
		{"pkg/state/bolt", ours("pkg/crash"), true},
		{"pkg/state", ours("pkg/backend"), false},
		{"pkg/state", ours("cmd/hostpath-csi"), false},
		{"pkg/state/kube", "k8s.io/client-go/rest", true},
		{"pkg/state/kube/v1alpha1", "k8s.io/apimachinery/pkg/runtime", true},
		{"pkg/cluster", "k8s.io/client-go/kubernetes", true},
		{"pkg/cluster", ours("pkg/state/kube"), true},
		{"pkg/cluster", ours("pkg/driver"), false},
		{"cmd/hostpath-csi", "k8s.io/client-go/rest", true},
		{"pkg/state", "k8s.io/apimachinery/pkg/apis/meta/v1", false},
		{"pkg/driver", "k8s.io/client-go/rest", false},
		{"pkg/driver", "k8s.io/apimachinery/pkg/labels", true},
		{"pkg/agent", "k8s.io/api/core/v1", false},
		{"pkg/nosuchrule", "fmt", false},
	} {
		for _, p := range []pkg{
			{ImportPath: ours(c.from), Imports: []string{c.to}},
			{ImportPath: ours(c.from), TestImports: []string{c.to}},
			{ImportPath: ours(c.from), XTestImports: []string{c.to}},
		} {
			if got := check(p); (len(got) == 0) != c.allowed {
				t.Errorf("%s imports %s: allowed is to be %v, got %q", c.from, c.to, c.allowed, got)
			}
		}
	}
	fixture := ours("tests/filesystem")
	if got := check(pkg{ImportPath: ours("pkg/backend"), Imports: []string{fixture}}); len(got) == 0 {
		t.Error("a package may import what tests share")
	}
	if got := check(pkg{ImportPath: ours("pkg/backend"), TestImports: []string{fixture}}); len(got) > 0 {
		t.Errorf("a package's tests may not import what tests share: %q", got)
	}
}

// check returns what is wrong with the imports of p and of its tests.
func check(p pkg) (complaints []string) {
	path := strings.TrimPrefix(p.ImportPath, module+"/")
	root, rest, _ := strings.Cut(path, "/")
	if root != "pkg" {
		return nil // cmd and tests know everything
	}
	from, _, _ := strings.Cut(rest, "/")
	allowed, known := mayImport[from]
	if !known {
		return []string{fmt.Sprintf("%s: say in tests/rules whom pkg/%s may import", path, from)}
	}
	// A package's own tests may use what tests share.
	tests := slices.DeleteFunc(slices.Concat(p.TestImports, p.XTestImports), func(imported string) bool {
		return within(imported, module+"/tests")
	})
	for _, imported := range slices.Concat(p.Imports, tests) {
		if from != "driver" && slices.ContainsFunc(rpcModules, func(m string) bool { return within(imported, m) }) {
			complaints = append(complaints, fmt.Sprintf("%s imports %s: only pkg/driver speaks gRPC", path, imported))
		}
		if !slices.ContainsFunc(kubeRooms, func(room string) bool { return within(path, room) }) && slices.ContainsFunc(kubeModules, func(m string) bool { return within(imported, m) }) {
			complaints = append(complaints, fmt.Sprintf("%s imports %s: only %v speak to Kubernetes", path, imported, kubeRooms))
		}
		if !within(imported, module) {
			continue
		}
		to, inPkg := strings.CutPrefix(imported, module+"/pkg/")
		to, _, _ = strings.Cut(to, "/")
		if !inPkg || to != from && !slices.Contains(allowed, to) {
			complaints = append(complaints, fmt.Sprintf("%s imports %s: pkg/%s may import only %v of ours", path, imported, from, allowed))
		}
	}
	return complaints
}

// within tells whether an import path is the given one or lies below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// list returns every package of this module, even those that do not build today.
func list(t *testing.T, tags string) (pkgs []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "-tags="+tags, module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}
