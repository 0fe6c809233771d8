package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// TestADamagedImageIsRefusedAndLeftAlone damages the image of a pool while it is not
// mounted. The pool is refused, not formatted anew; the image stays as it was found; and
// when a good one is in its place, the pool is taken again, without a restart.
func TestADamagedImageIsRefusedAndLeftAlone(t *testing.T) {
	const large = 64 << 10 // of the beginning: what tells the filesystem lies there
	for _, kind := range []string{"btrfs", "xfs"} {
		for how, damage := range map[string]func(path string) error{
			"its beginning is garbage": func(path string) error {
				return overwrite(path, bytes.Repeat([]byte{0xa5, 0x5a, 0xff}, large))
			},
			"it is cut to a quarter": func(path string) error { return os.Truncate(path, 80<<20) },
			"it is empty":            func(path string) error { return os.Truncate(path, 0) },
			"all of it is zeros":     func(path string) error { return errors.Join(os.Truncate(path, 0), os.Truncate(path, 320<<20)) },
		} {
			t.Run(kind+", "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorldInImage(t, kind, 320)
				w.start(t)
				v := w.volume("kept")
				process.Eventually(t, "the first volume is created", func() error { return v.do(w.d, "create") })
				w.must(t, v, "publish", "write", "unpublish")
				w.d.Kill()
				good := w.image() + ".good"
				if err := syscall.Unmount(filepath.Join(w.dir, "pool"), 0); err != nil {
					t.Fatal(err)
				}
				run(t, "cp", "--sparse=always", w.image(), good)
				if err := damage(w.image()); err != nil {
					t.Fatal(err)
				}
				before := run(t, "sha256sum", w.image())

				w.d = process.Launch(t, process.Options{Dir: w.dir, Pool: w.pool, Metrics: true})
				if err := w.d.AwaitAnswering(); err != nil {
					t.Fatalf("%v\n%s", err, w.d.Log())
				}
				poolRefused(t, w.d, v)
				mustSay(t, w.d.Log(), w.image())
				if after := run(t, "sha256sum", w.image()); after != before {
					t.Error("the driver has written to the damaged image")
				}
				if err := os.Rename(good, w.image()); err != nil {
					t.Fatal(err)
				}
				process.Eventually(t, "the pool is taken again", func() error { return probe(w.d) })
				if err := w.compare(t); err != nil {
					t.Fatal(err)
				}
				w.wantImage(t, 320)
				w.must(t, v, "publish", "write", "expand", "unpublish")
				w.d.Kill() // its log tells of what was wrong
				w.start(t)
				w.end(t)
			})
		}
	}
}

// overwrite writes over the beginning of a file.
func overwrite(path string, with []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(with, 0)
	return errors.Join(err, f.Close())
}

// refuses returns an error unless the driver says no to a new volume and a new snapshot,
// and so that it can be tried elsewhere, or later.
func refuses(w *world, v *volume) error {
	_, create := w.d.Create("new", firstSize)
	_, snapshot := w.d.TakeSnapshot("new", v.name)
	for what, err := range map[string]error{"CreateVolume": create, "CreateSnapshot": snapshot} {
		if code := status.Code(err); code != codes.ResourceExhausted && code != codes.Unavailable {
			return fmt.Errorf("%s: %w, want %s or %s", what, err, codes.ResourceExhausted, codes.Unavailable)
		}
	}
	return nil
}

// TestAPoolThatIsFull has others take all room on the pool's filesystem. What would need
// some is refused; what is there goes on, can be deleted, and survives a kill; and with
// the room back all is as before.
func TestAPoolThatIsFull(t *testing.T) {
	for _, fs := range []filesystem{ext4, xfs, btrfs} {
		t.Run(fs.kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, ext4, fs, false)
			m.start(t)
			v, gone := m.volume("kept"), m.volume("deleted")
			m.must(t, v, "create", "publish", "write")
			m.must(t, gone, "create", "publish", "write", "unpublish")
			filler := filepath.Join(m.d.PoolDir(), "filler")
			fillUp(t, filler)

			process.Eventually(t, "new volumes are refused", func() error { return refuses(m.world, v) })
			m.must(t, v, "unpublish", "publish")
			m.must(t, gone, "delete")
			m.d.Kill()
			m.start(t)
			if err := m.compare(t); err != nil {
				t.Error(err)
			}
			fillUp(t, filler) // what the deletion gave back
			process.Eventually(t, "new volumes are refused after a kill, too", func() error { return refuses(m.world, v) })
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			run(t, "sync", "--file-system", m.d.PoolDir()) // until then btrfs has it still
			process.Eventually(t, "there is room again", func() error { return gone.do(m.d, "create") })
			m.must(t, v, "write", "expand")
			m.check(t)
			m.end(t)
			m.off(t)
		})
	}
}

// fillUp writes until there is no room.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, chunk := range []int{1 << 20, 4 << 10} {
		for err == nil {
			_, err = f.Write(bytes.Repeat([]byte{0xb7}, chunk))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err = f.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

// TestAPoolWhoseDiskVanishes takes a pool's disk away while it is mounted and the driver
// runs, as when a cable is pulled: every read and write of it fails. No volume is made any
// more, and the driver goes on; when the disk is back, and mounted, all is as it was.
func TestAPoolWhoseDiskVanishes(t *testing.T) {
	for _, fs := range []filesystem{ext4, xfs, btrfs} {
		t.Run(fs.kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, ext4, fs, false)
			m.start(t)
			v := m.volume("kept")
			m.must(t, v, "create", "publish", "write", "unpublish")
			pool := m.disks[1]
			away := pool.image + ".away"
			run(t, "sync", "--file-system", m.d.PoolDir())
			run(t, "cp", "--sparse=always", pool.image, away)
			if err := os.Truncate(pool.image, 0); err != nil {
				t.Fatal(err)
			}
			run(t, "losetup", "--set-capacity", pool.device.Name()) // what is beyond the end cannot be read or written

			process.Eventually(t, "new volumes are refused", func() error {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second) // a dead disk may keep it waiting
				defer cancel()
				if _, err := m.d.CreateVolume(ctx, process.CreateRequest("new", firstSize)); err == nil {
					return errors.Join(errors.New("one was made"), m.d.Delete("new"))
				}
				return nil
			})
			if listed, err := m.d.List(); err != nil || listed[v.name] != firstSize {
				t.Errorf("the volume is to be listed still: %v, %v", listed, err)
			}
			// Its administrator mounts it where it is back.
			if fs != btrfs {
				if err := syscall.Unmount(pool.at, syscall.MNT_DETACH); err != nil {
					t.Fatal(err)
				}
				pool.letGo(t)
				m.disks[1] = mountImage(t, fs, away, pool.at)
				process.Eventually(t, "the pool is taken again", func() error {
					_, err := m.d.Create("next", firstSize)
					return errors.Join(err, m.d.Delete("next"))
				})
				m.must(t, v, "publish", "write", "unpublish")
				if err := m.compare(t); err != nil {
					t.Fatal(err)
				}
				m.d.Kill() // its log tells of what was wrong
			} else { // which is mounted once only, and busy while the driver has it open
				m.d.Kill()
				pool.unmount(t)
				m.disks[1] = mountImage(t, fs, away, pool.at)
			}
			m.start(t)
			m.check(t)
			m.must(t, v, "publish", "write", "expand")
			m.end(t)
			m.off(t)
		})
	}
}
