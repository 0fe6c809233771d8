package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// TestAPoolWithoutItsDiskIsRefused has the pool's path lead elsewhere, as when a disk
// is not mounted: at the start, and while the driver runs. Nothing is made there,
// and the pool is taken again when it is back, without a restart.
func TestAPoolWithoutItsDiskIsRefused(t *testing.T) {
	for name, instead := range map[string]func(pool, away string) error{
		"nothing there":            func(string, string) error { return nil },
		"an empty directory there": func(pool, _ string) error { return os.Mkdir(pool, 0o755) },
		"the directories without the marker": func(pool, away string) error {
			return errors.Join(os.MkdirAll(filepath.Join(pool, "volumes"), 0o711), os.MkdirAll(filepath.Join(pool, ".tmp"), 0o711),
				os.MkdirAll(filepath.Join(pool, ".trash"), 0o711))
		},
		"another pool there": func(pool, away string) error {
			marker, err := os.ReadFile(filepath.Join(away, ".hostpath-csi.json"))
			if err != nil {
				return err
			}
			at := strings.Index(string(marker), `"uuid": "`) + len(`"uuid": "`)
			copy(marker[at:], "00000000-0000-4000-8000-000000000000")
			for _, d := range []string{"volumes", ".tmp", ".trash"} {
				if err := os.MkdirAll(filepath.Join(pool, d), 0o711); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(pool, ".hostpath-csi.json"), marker, 0o644)
		},
	} {
		for _, when := range []string{"at the start", "while running"} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				w := newWorldOnDisk(t)
				w.start(t)
				v := w.volume("kept")
				w.must(t, v, "create", "publish", "write")
				pool := w.d.PoolDir()
				away := pool + ".away"
				if when == "at the start" {
					w.d.Kill()
				}
				if err := errors.Join(os.Rename(pool, away), instead(pool, away)); err != nil {
					t.Fatal(err)
				}
				before := tree(t, pool)
				if when == "at the start" {
					w.d = process.Launch(t, process.Options{Dir: w.dir, Pool: w.pool, Metrics: true})
					if err := w.d.AwaitAnswering(); err != nil {
						t.Fatal(err)
					}
				} else {
					process.Eventually(t, "the pool's absence is noticed", func() error {
						if probe(w.d) == nil {
							return errors.New("the driver is well")
						}
						return nil
					})
				}
				poolRefused(t, w.d, v)
				if after := tree(t, pool); after != before {
					t.Errorf("where the pool is not, there was\n%sand there is\n%s", before, after)
				}
				// The disk is back.
				if err := errors.Join(os.RemoveAll(pool), os.Rename(away, pool)); err != nil {
					t.Fatal(err)
				}
				process.Eventually(t, "the pool is taken again", func() error { return probe(w.d) })
				if err := w.compare(t); err != nil {
					t.Fatal(err)
				}
				w.must(t, v, "write", "expand", "publish", "unpublish", "delete")
				w.must(t, w.volume("new"), "create")
				if err := w.compare(t); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func probe(d *process.Driver) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := d.Probe(ctx, &csi.ProbeRequest{})
	return err
}

func wantCode(t *testing.T, what string, err error, want codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: wanted is %s, got: %v", what, want, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: it is to speak of %q, and says: %v", what, word, err)
		}
	}
}

// poolRefused checks what a driver answers whose only pool cannot be used.
func poolRefused(t *testing.T, d *process.Driver, v *volume) {
	t.Helper()
	wantCode(t, "Probe", probe(d), codes.FailedPrecondition, "default")
	process.Eventually(t, "no capacity is told", func() error {
		free, err := d.Free()
		if err == nil && free != 0 {
			err = fmt.Errorf("GetCapacity tells %d", free)
		}
		return err
	})
	_, err := d.Create("new", firstSize)
	wantCode(t, "CreateVolume", err, codes.ResourceExhausted, "default")
	wantCode(t, "NodePublishVolume", d.Publish(v.name, v.target+".other"), codes.Unavailable)
	if err := d.Delete(v.name); err == nil {
		t.Error("a volume was deleted whose pool is not there")
	}
	if err := d.Expand(v.name, 100*firstSize); err == nil {
		t.Error("a volume was expanded whose pool is not there")
	}
	if listed, err := d.List(); err != nil || listed[v.name] != v.bytes[0] {
		t.Errorf("volume %s is to be listed with %v bytes: %v, %v", v.name, v.bytes, listed, err)
	}
	if health, err := d.Health(v.name); err != nil || len(health) == 0 || health[0].GetStatus() != csi.VolumeHealthErrorType_INACCESSIBLE {
		t.Errorf("volume %s is to be inaccessible, and is %v: %v", v.name, health, err)
	}
	if m, err := d.Metrics(); err != nil || m["hostpath_csi_pool_usable"] != 0 {
		t.Errorf("hostpath_csi_pool_usable is to be 0: %v", err)
	}
}

// tree lists everything beneath a directory, which need not be there.
func tree(t *testing.T, dir string) (all string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all += fmt.Sprintln(path, info.Mode(), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAVolumeWhoseDirectoryWasRemovedIsNeverMadeAgainEmpty removes it behind the
// driver's back.
func TestAVolumeWhoseDirectoryWasRemovedIsNeverMadeAgainEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(t)
	free := w.free(t)
	lost, back := w.volume("lost"), w.volume("back")
	w.must(t, lost, "create", "publish", "write", "unpublish")
	w.must(t, back, "create", "publish", "write", "unpublish")
	w.d.Kill()
	volumes := filepath.Join(w.dir, "pool", "volumes")
	aside := filepath.Join(w.dir, "pool", "aside")
	if err := errors.Join(os.RemoveAll(filepath.Join(volumes, "lost")), os.Rename(filepath.Join(volumes, "back"), aside)); err != nil {
		t.Fatal(err)
	}

	w.start(t)
	if id, err := w.d.Create("lost", firstSize); err == nil {
		t.Logf("creating it again tells that it is there: %s", id) // it is; its health tells more
	}
	for _, id := range []string{"lost", "back"} {
		health, err := w.d.Health(id)
		if err != nil || len(health) != 1 || health[0].GetStatus() != csi.VolumeHealthErrorType_DATA_LOSS {
			t.Errorf("volume %s: health is to be DATA_LOSS, and is %v: %v", id, health, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		resp, err := w.d.NodeGetVolumeHealth(ctx, &csi.NodeGetVolumeHealthRequest{VolumeId: id})
		if s := resp.GetVolumeHealth().GetHealthStatuses(); err != nil || len(s) != 1 || s[0].GetStatus() != csi.VolumeHealthErrorType_DATA_LOSS {
			t.Errorf("volume %s: the node's health is to be DATA_LOSS, and is %v: %v", id, s, err)
		}
		wantCode(t, "NodePublishVolume", w.d.Publish(id, filepath.Join(w.targets, id)), codes.DataLoss, id)
		if err := process.SameNames(t, w.targets); err != nil {
			t.Errorf("a publish that failed left its target: %v", err)
		}
	}
	if err := process.SameNames(t, volumes); err != nil {
		t.Errorf("a volume was made again: %v", err)
	}
	w.must(t, lost, "delete")
	w.d.Kill()

	// One is brought back from where it was.
	if err := os.Rename(aside, filepath.Join(volumes, "back")); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.check(t)
	w.must(t, back, "publish", "write")
	w.check(t)
	w.must(t, lost, "create") // a new one
	w.end(t)
	w.isFree(t, free)
}

// TestAnOrphanIsReportedAndNotTouched puts a directory among the volumes that no
// record speaks of.
func TestAnOrphanIsReportedAndNotTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(t)
	w.must(t, w.volume("volume"), "create")
	w.d.Kill()
	orphan := filepath.Join(w.dir, "pool", "volumes", "orphan")
	if err := errors.Join(os.Mkdir(orphan, 0o755), os.WriteFile(filepath.Join(orphan, "data"), []byte("somebody's"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.start(t)
		m, err := w.d.Settled()
		if err != nil || m["hostpath_csi_pool_orphans"] != 1 {
			t.Errorf("hostpath_csi_pool_orphans is to be 1, and is %v: %v", m["hostpath_csi_pool_orphans"], err)
		}
		mustSay(t, w.d.Log(), "orphan")
		if listed, err := w.d.List(); err != nil || len(listed) != 1 {
			t.Errorf("one volume is to be listed: %v, %v", listed, err)
		}
		// Nobody is given what somebody left.
		if _, err := w.d.Create("orphan", firstSize); err == nil {
			t.Error("a volume was made of an orphan")
		}
		if err := w.d.Delete("orphan"); err != nil {
			t.Error(err)
		}
		w.d.Kill()
	}
	if b, err := os.ReadFile(filepath.Join(orphan, "data")); err != nil || string(b) != "somebody's" {
		t.Errorf("the orphan holds %q now: %v", b, err)
	}
}

// TestAHundredThousandFilesAreDeletedInTheBackground deletes a volume of many files.
// The answer does not wait for their removal, and a kill does not end it.
func TestAHundredThousandFilesAreDeletedInTheBackground(t *testing.T) {
	t.Parallel()
	const directories, files = 100, 1000
	w := newWorld(t)
	w.start(t)
	free := w.free(t)
	v := w.volume("large")
	w.must(t, v, "create")
	for i := range directories {
		dir := filepath.Join(w.d.PoolDir(), "volumes", v.name, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range files {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(j)))
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
	}
	began := time.Now()
	w.must(t, v, "delete")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the answer took %v; it is to take milliseconds", took)
	}
	w.must(t, v, "create") // the name is free
	process.Eventually(t, "the removal tells of progress", func() error { return removed(w.d, 1) })
	first, err := w.d.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	w.d.Kill()
	w.start(t)
	w.check(t)
	if rest := float64(directories*files) - first["hostpath_csi_trash_removed_inodes_total"]; rest > 30000 {
		if err := removed(w.d, 1); err != nil {
			t.Errorf("the next start did not go on with the removal: %v", err)
		}
	}
	w.end(t)
	w.isFree(t, free)
}

func removed(d *process.Driver, atLeast float64) error {
	m, err := d.Metrics()
	if n := m["hostpath_csi_trash_removed_inodes_total"]; err == nil && n < atLeast {
		err = fmt.Errorf("%v inodes were removed", n)
	}
	return err
}
