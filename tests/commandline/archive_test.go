package commandline

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestADeletedVolumeComesBackFromTheArchive(t *testing.T) {
	dir := process.TempDir(t)
	d := process.Start(t, process.Options{Dir: dir})
	pool := "default=" + d.PoolDir()
	for _, id := range []string{"wanted", "unwanted"} {
		create(t, d, id, "onDelete", "archive")
		target := filepath.Join(dir, "target")
		must(t, d.Publish(id, target))
		must(t, os.WriteFile(filepath.Join(target, "file"), []byte("data of "+id), 0o600))
		must(t, d.Unpublish(id, target))
		must(t, d.Delete(id))
	}
	names := map[string]string{} // by volume ID
	process.Eventually(t, "both are archived", func() error {
		var list show.Archive
		out := run(t, nil, "archive", "ls", "--pool", pool, "-o", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Archived) != 2 {
			return fmt.Errorf("%v: %s", err, out)
		}
		for _, a := range list.Archived {
			names[a.VolumeID] = a.Name
		}
		return nil
	})
	if out := run(t, nil, "archive", "ls", "--pool", pool); !strings.Contains(out, "shop_data-db-0.") || !strings.Contains(out, "64 MiB") {
		t.Errorf("archive ls prints:\n%s", out)
	}
	run(t, nil, "archive", "purge", names["unwanted"], "--pool", pool) // while the driver runs
	d.Kill()

	for _, wrong := range []string{names["unwanted"], "no-such", "../volumes", ""} {
		if out, err := command(t, nil, "archive", "restore", wrong, "--pool", pool).CombinedOutput(); err == nil || !strings.Contains(string(out), "the archive has no") {
			t.Errorf("restore %q: %v\n%s", wrong, err, out)
		}
	}
	if out := run(t, nil, "archive", "restore", names["wanted"], "--pool", pool); !strings.Contains(out, "hostpath-csi recover") {
		t.Errorf("restore does not say how to go on:\n%s", out)
	}
	run(t, nil, "recover", "--state-dir", d.StateDir(), "--pool", pool)
	after := process.Start(t, process.Options{Dir: dir})
	target := filepath.Join(dir, "target")
	must(t, after.Publish("wanted", target))
	if b, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(b) != "data of wanted" {
		t.Errorf("the volume holds %q, %v", b, err)
	}
	must(t, after.Unpublish("wanted", target))
	must(t, after.Delete("wanted"))
	process.Eventually(t, "what was purged is gone, and what was deleted again is archived again", func() error {
		entries, err := os.ReadDir(filepath.Join(after.PoolDir(), "archive"))
		if err == nil && len(entries) != 1 {
			err = fmt.Errorf("the archive holds %v", entries)
		}
		if err != nil {
			return err
		}
		return process.SameNames(t, filepath.Join(after.PoolDir(), ".trash"))
	})
}
