package commandline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestADirectoryBecomesAVolumeOfTheRunningDriver(t *testing.T) {
	dir := process.TempDir(t)
	d := process.Start(t, process.Options{Dir: dir})
	pool := "default=" + d.PoolDir()
	legacy := filepath.Join(d.PoolDir(), "legacy", "db")
	must(t, os.MkdirAll(legacy, 0o755))
	must(t, os.WriteFile(filepath.Join(legacy, "file"), []byte("of old"), 0o600))
	must(t, os.Chown(filepath.Join(legacy, "file"), 26, 26))
	args := func(directory string, more ...string) []string {
		return append([]string{"adopt", directory, "--name", "db", "--size", "64Mi", "--pool", pool, "--endpoint", d.Endpoint()}, more...)
	}
	for what, c := range map[string]struct {
		args []string
		want string
	}{
		"no such directory": {args(filepath.Join(d.PoolDir(), "nosuch")), `adopt is "nosuch"; there is no such directory in the pool`},
		"outside":           {args("/etc"), "lies in none of the pools"},
		"out of the pool":   {args(d.PoolDir() + "/../state"), "without '.' and '..'"},
		"the pool's own":    {args(filepath.Join(d.PoolDir(), "volumes")), "of what the pool uses itself, it takes only what lies in the place of a volume"},
		"no size":           {[]string{"adopt", legacy, "--name", "db", "--pool", pool}, `--size is ""; it takes a size such as 20Gi`},
		"a wrong end":       {args(legacy, "--on-delete", "keep"), `onDelete is "keep"; it takes delete, archive or scrub`},
		"a wrong claim":     {args(legacy, "--claim", "db"), "it takes NAMESPACE/NAME"},
		"no driver":         {[]string{"adopt", legacy, "--name", "db", "--size", "1Gi", "--pool", pool, "--endpoint", "unix://" + dir + "/nosuch"}, "the driver does not answer at"},
	} {
		if out, err := command(t, nil, c.args...).CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	want := `"` + legacy + `" is volume db of pool default, 64 MiB, at ` + d.PoolDir() + "/volumes/db\n"
	if out := run(t, nil, args(legacy, "--on-delete", "archive")...); out != want {
		t.Errorf("it prints %q, want %q", out, want)
	}
	const pv = `apiVersion: v1
kind: PersistentVolume
metadata:
  name: db
spec:
  accessModes:
  - ReadWriteOnce
  capacity:
    storage: 64Mi
  claimRef:
    name: data-db-0
    namespace: shop
  csi:
    driver: hostpath-csi.dev
    volumeHandle: db
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - key: topology.hostpath-csi.dev/node
          operator: In
          values:
          - node-1
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
`
	if out := run(t, nil, args(legacy, "--claim", "shop/data-db-0", "-o", "yaml")...); out != pv { // asked again
		t.Errorf("it prints\n%s\nwant\n%s", out, pv)
	}
	if out, err := command(t, nil, "adopt", filepath.Join(d.PoolDir(), "volumes", "db"), "--name", "other", "--size", "64Mi", "--pool", pool, "--endpoint", d.Endpoint()).CombinedOutput(); err == nil || !strings.Contains(string(out), "that is volume db already") {
		t.Errorf("a volume is adopted: %v\n%s", err, out)
	}
	target := filepath.Join(dir, "target")
	must(t, d.Publish("db", target))
	if b, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(b) != "of old" {
		t.Errorf("the volume holds %q, %v", b, err)
	}
	must(t, d.Unpublish("db", target))
	must(t, d.Delete("db"))
	process.Eventually(t, "what was adopted with --on-delete archive is in the archive", func() error {
		if out := run(t, nil, "archive", "ls", "--pool", pool); !strings.Contains(out, " db ") {
			return errors.New(out)
		}
		return nil
	})
}
