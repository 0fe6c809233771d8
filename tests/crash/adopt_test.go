package crash

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// adoptSteps are those that only a directory which becomes a volume comes to.
var adoptSteps = []crash.Name{crash.AdoptLabelled, crash.AdoptHeld}

// TestKilledWhileADirectoryBecomesAVolume kills the driver at every step of that. The
// directory is where it was, or the volume: whole, and once.
func TestKilledWhileADirectoryBecomesAVolume(t *testing.T) {
	adopt := func(d *process.Driver) error {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), driver.AdoptHeader, "legacy/db"), 20*time.Second)
		defer cancel()
		_, err := d.CreateVolume(ctx, process.CreateRequest("db", firstSize))
		return err
	}
	for _, at := range append(names(adoptSteps...), names(crash.CreateRecorded, crash.CreateCommitting, crash.CreateCommitted, crash.CreatePlaced)...) {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(t)
			free := w.free(t)
			legacy := filepath.Join(w.d.PoolDir(), "legacy", "db")
			if err := os.MkdirAll(legacy, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := fill(legacy, "of old. "); err != nil {
				t.Fatal(err)
			}
			w.d.Kill()
			doomed := w.startDoomed(t, at)
			_ = adopt(doomed)
			awaitDeath(t, doomed, at)
			w.start(t)
			v := w.volume("db")
			listed, err := w.d.List()
			if err != nil {
				t.Fatal(err)
			}
			if _, there := listed["db"]; !there { // nobody was answered: nothing has happened
				w.check(t)
				if err := holds(legacy, "of old. "); err != nil {
					t.Fatal(err)
				}
			}
			if err := adopt(w.d); err != nil {
				t.Fatal(err)
			}
			v.exists, v.bytes, v.data = yes, []int64{firstSize}, "of old. "
			if _, err := os.Lstat(legacy); !os.IsNotExist(err) {
				t.Fatalf("it is where it was, too: %v", err)
			}
			w.check(t)
			w.must(t, v, "publish", "write", "expand", "unpublish")
			w.d.Kill()
			w.start(t)
			w.check(t)
			w.end(t)
			w.isFree(t, free)
		})
	}
}
