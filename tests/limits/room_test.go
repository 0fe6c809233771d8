package limits

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// inFlight is how many calls ask for the pool's last room at a time.
const inFlight = 64

// TestSixtyFourAtOnceAndRoomForTen asks for 64 volumes at once
// of a pool with room for 10, then for 64 snapshots and for 64 clones of what has room
// for a few. Whoever gets none is told so, and leaves nothing: not even after a kill is
// there more, or less, than was promised.
func TestSixtyFourAtOnceAndRoomForTen(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			dir := filepath.Join(k.make(t), "d")
			must(t, os.Mkdir(dir, 0o755))
			t.Cleanup(func() { process.UnmountBeneath(t, dir) })
			o := k.options(dir)
			o.Metrics = true
			d := process.Start(t, o)
			free := room(t, d)

			const volumes = 10
			size := roundDown(free / volumes)
			made := atOnce(t, volumes, func(i int) (string, error) { return d.Create(fmt.Sprint("v-", i), size) })
			wantAccount(t, d, volumes, 0, volumes*size)
			wantRoom(t, d, free-volumes*size)

			must(t, d.Delete(made[0]))
			made[0] = atOnce(t, 1, func(i int) (string, error) { return d.Create(fmt.Sprint("w-", i), size) })[0]
			wantAccount(t, d, volumes, 0, volumes*size)
			d.Kill()
			d = process.Start(t, o)
			wantAccount(t, d, volumes, 0, volumes*size)
			wantRoom(t, d, free-volumes*size)
			for _, id := range made {
				must(t, d.Delete(id))
			}
			wantRoom(t, d, free)

			// A snapshot takes what its volume holds, a clone the size that it has.
			const source, held = "source", int64(12 * mib)
			create(t, d, source)
			target := filepath.Join(dir, "target")
			must(t, d.Publish(source, target))
			must(t, os.WriteFile(filepath.Join(target, "file"), make([]byte, held), 0o600))
			unix.Sync() // what has its blocks is counted the same each time
			must(t, d.Unpublish(source, target))
			ready, err := d.TakeSnapshot("first", source)
			if err != nil || !ready {
				t.Fatalf("a snapshot of %d bytes: ready %v, %v", held, ready, err)
			}
			one := int64(allocated(t, d)) - 16*mib
			if one < held || one > held+mib {
				t.Fatalf("a snapshot of %d bytes takes %d of the account", held, one)
			}

			const copies = 5
			filler := roundDown(free - 16*mib - one - copies*one - one/2)
			_, err = d.Create("filler", filler)
			must(t, err)
			taken := atOnce(t, copies, func(i int) (string, error) {
				name := fmt.Sprint("s-", i)
				_, err := d.TakeSnapshot(name, source)
				return name, err
			})
			wantAccountAbout(t, d, 2, copies+1, 16*mib+filler+(copies+1)*one)
			for _, id := range taken {
				must(t, d.RemoveSnapshot(id))
			}
			wantAccountAbout(t, d, 2, 1, 16*mib+filler+one)

			must(t, d.Delete("filler"))
			wantAccountAbout(t, d, 1, 1, 16*mib+one)
			filler = roundDown(free - 16*mib - one - copies*16*mib - 8*mib)
			_, err = d.Create("filler", filler)
			must(t, err)
			clones := atOnce(t, copies, func(i int) (string, error) {
				return d.Copy(fmt.Sprint("c-", i), 16*mib, false, process.FromVolume(source))
			})
			wantAccountAbout(t, d, copies+2, 1, 16*mib+filler+one+copies*16*mib)
			for _, id := range append(clones, "filler", source) {
				must(t, d.Delete(id))
			}
			must(t, d.RemoveSnapshot("first"))
			wantAccount(t, d, 0, 0, 0)
			wantRoom(t, d, free)
			must(t, d.Terminate())
		})
	}
}

// roundDown makes a size one that no backend rounds up.
func roundDown(bytes int64) int64 { return bytes &^ (mib - 1) }

// atOnce has 64 calls in flight, of which exactly so many must succeed; the others must be
// told that the pool is exhausted. It returns what the good ones made.
func atOnce(t *testing.T, want int, call func(i int) (id string, err error)) (made []string) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for i := range inFlight {
		all.Go(func() {
			<-start
			id, err := call(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, id)
			} else if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("call %d: %v, want success or %v", i, err, codes.ResourceExhausted)
			}
		})
	}
	close(start)
	all.Wait()
	if len(made) != want {
		t.Fatalf("%d of %d calls succeeded; the pool has room for %d", len(made), inFlight, want)
	}
	return made
}

// room is what can be had, once that is known.
func room(t *testing.T, d *process.Driver) (bytes int64) {
	t.Helper()
	process.Eventually(t, "the driver tells a capacity", func() (err error) {
		if _, err = d.Settled(); err == nil {
			bytes, err = d.Free()
		}
		if err == nil && bytes == 0 {
			err = fmt.Errorf("it is 0")
		}
		return err
	})
	return bytes
}

func wantRoom(t *testing.T, d *process.Driver, want int64) {
	t.Helper()
	process.Eventually(t, "the room that is left is told", func() error {
		got, err := d.Free()
		if err == nil && got != want {
			err = fmt.Errorf("GetCapacity tells %d, want %d", got, want)
		}
		return err
	})
}

func mustList(t *testing.T, d *process.Driver) map[string]int64 {
	t.Helper()
	listed, err := d.List()
	must(t, err)
	return listed
}

func allocated(t *testing.T, d *process.Driver) float64 {
	t.Helper()
	m, err := d.Metrics()
	must(t, err)
	return m["hostpath_csi_pool_allocated_bytes"]
}

// wantAccount compares the account with the records and with what is on the disk.
func wantAccount(t *testing.T, d *process.Driver, volumes, snapshots int, bytes int64) {
	t.Helper()
	wantAccountWithin(t, d, volumes, snapshots, bytes, 0)
}

// wantAccountAbout does it where there are snapshots: what one takes is measured, to a few
// blocks of the filesystem's own.
func wantAccountAbout(t *testing.T, d *process.Driver, volumes, snapshots int, bytes int64) {
	t.Helper()
	wantAccountWithin(t, d, volumes, snapshots, bytes, int64(snapshots)*mib/8)
}

func wantAccountWithin(t *testing.T, d *process.Driver, volumes, snapshots int, bytes, slack int64) {
	t.Helper()
	process.Eventually(t, "the account is right", func() error {
		if _, err := d.Settled(); err != nil {
			return err
		}
		if got := int64(allocated(t, d)); got < bytes-slack || got > bytes+slack {
			return fmt.Errorf("%d bytes are accounted for, want %d, or %d more or less", got, bytes, slack)
		}
		return nil
	})
	taken, err := d.Snapshots()
	must(t, err)
	if listed := mustList(t, d); len(listed) != volumes || len(taken) != snapshots {
		t.Errorf("listed are %d volumes and %d snapshots, want %d and %d", len(listed), len(taken), volumes, snapshots)
	}
	for dir, want := range map[string]int{"volumes": volumes, "snapshots": snapshots, ".tmp": 0} {
		if got := process.Names(t, filepath.Join(d.PoolDir(), dir)); len(got) != want {
			t.Errorf("%s holds %d entries, want %d: %v", dir, len(got), want, got)
		}
	}
}
