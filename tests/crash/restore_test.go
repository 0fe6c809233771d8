package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// Those that only deleted volumes come to which come back from the archive, and which are
// removed from it.
var (
	restoreSteps = []crash.Name{crash.RestoreLabelled}
	expireSteps  = []crash.Name{crash.ExpireDoomed, crash.ExpireRenamed}
)

// kept is what a deleted volume has left in the archive.
type kept struct {
	name  string // once it was seen there
	bytes int64
	data  string
}

// restore makes the volume of what it has left in the archive.
func (v *volume) restore(d *process.Driver) error {
	if v.kept.name == "" {
		name, err := v.inArchive(d)
		if err != nil {
			return err
		}
		v.kept.name = name
	}
	v.bytes, v.data = []int64{v.kept.bytes}, v.kept.data
	v.exists = maybe
	request := process.CreateRequest(v.name, v.kept.bytes)
	if v.block {
		request.VolumeCapabilities = []*csi.VolumeCapability{process.BlockCapability(process.SingleWriter)}
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), driver.AdoptHeader, "archive/"+v.kept.name), 20*time.Second)
	defer cancel()
	if _, err := d.CreateVolume(ctx, request); err != nil {
		return err
	}
	v.exists = yes
	return nil
}

// inArchive returns the name of what the volume has left there; it is an error unless that is
// there once, and whole.
func (v *volume) inArchive(d *process.Driver) (name string, err error) {
	archive := filepath.Join(d.PoolDir(), "archive")
	entries, err := os.ReadDir(archive)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), v.name+".") {
			continue
		}
		if name != "" {
			return "", fmt.Errorf("the archive has volume %s as %s and as %s", v.name, name, e.Name())
		}
		name = e.Name()
	}
	switch at := filepath.Join(archive, name); {
	case name == "":
		return "", fmt.Errorf("the archive has no volume %s", v.name)
	case v.block:
		return name, holdsData(at, v.kept.data)
	default:
		return name, holds(at, v.kept.data)
	}
}

// archived makes a volume with data and has it archived. It returns what is free then, and was
// before.
func (w *world) archived(t *testing.T, block bool) (v *volume, free, before int64) {
	t.Helper()
	w.start(t)
	if err := os.Mkdir(filepath.Join(w.d.PoolDir(), "archive"), 0o700); err != nil { // it takes room by itself
		t.Fatal(err)
	}
	before = w.free(t)
	w.must(t, w.volume("bystander"), "create", "publish", "write")
	v = w.volume("victim")
	v.block, v.onDelete = block, "archive"
	w.must(t, v, "create", "publish", "write", "expand", "unpublish", "delete")
	process.Eventually(t, "it is in the archive", func() error { _, err := v.inArchive(w.d); return err })
	free = worldBytes - v.kept.bytes - firstSize
	w.isFree(t, free)
	w.check(t)
	return v, free, before
}

// TestKilledWhileAVolumeComesBackFromTheArchive kills the driver at every step of that. What was in
// the archive is there as before, or the volume: whole, and once. Its room is promised once, too.
func TestKilledWhileAVolumeComesBackFromTheArchive(t *testing.T) {
	for what, block := range map[string]bool{"": false, " of a block volume": true} {
		for _, at := range append(names(crash.CreateRecorded, crash.AdoptLabelled, crash.AdoptHeld, crash.CreateCommitting, crash.CreateCommitted, crash.CreatePlaced),
			append(names(restoreSteps...), nth(crash.StoreCommitted, 1))...) {
			t.Run(at+what, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				v, free, before := w.archived(t, block)
				w.d.Kill()
				doomed := w.startDoomed(t, at)
				_ = v.do(doomed, "restore") // it may be answered
				awaitDeath(t, doomed, at)
				answered := v.exists == yes
				w.start(t)
				w.check(t) // which finds out whether there is such a volume
				if answered && v.exists != yes {
					t.Fatal("it was answered for, and is not there")
				}
				w.wantOnce(t, v)
				w.isFree(t, free)
				w.must(t, v, "restore")
				w.wantOnce(t, v)
				w.check(t)
				w.isFree(t, free)
				w.must(t, v, "publish", "write", "unpublish")
				w.d.Kill()
				w.start(t)
				w.check(t)
				w.isFree(t, free)
				w.end(t)
				w.isFree(t, before)
			})
		}
	}
}

// wantOnce wants what was archived to be in the archive if it is no volume, and only then.
func (w *world) wantOnce(t *testing.T, v *volume) {
	t.Helper()
	_, err := v.inArchive(w.d)
	switch {
	case v.exists == yes && err == nil:
		t.Fatal("it is a volume, and in the archive, too")
	case v.exists == no && err != nil:
		t.Fatalf("it is no volume, and: %v", err)
	}
}

// TestKilledWhileAVolumeIsPurgedFromTheArchive kills the driver at every step of that: it is there,
// whole, or it is gone, and nothing else is.
func TestKilledWhileAVolumeIsPurgedFromTheArchive(t *testing.T) {
	for _, at := range append(names(expireSteps...), string(crash.PurgeStarted), nth(crash.PurgeStarted, 7)) {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v, _, before := w.archived(t, false)
			name, err := v.inArchive(w.d)
			if err != nil {
				t.Fatal(err)
			}
			w.d.Kill()
			doomed := w.startDoomed(t, at)
			answered := purge(t, doomed, name) == nil
			awaitDeath(t, doomed, at)
			w.start(t)
			w.check(t)
			if _, err := os.Lstat(filepath.Join(w.d.PoolDir(), "archive", name)); err == nil {
				if answered {
					t.Fatal("it was answered for, and is there")
				}
				if _, err := v.inArchive(w.d); err != nil {
					t.Fatal(err)
				}
				if err := purge(t, w.d, name); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := v.inArchive(w.d); err == nil {
				t.Fatal("it is there still")
			}
			w.end(t)
			w.isFree(t, before)
		})
	}
}

func purge(t *testing.T, d *process.Driver, name string) error {
	t.Helper()
	conn, err := grpc.NewClient(d.Endpoint(), d.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return driver.PurgeArchived(ctx, conn, "default/"+name)
}
