package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// orphanSteps are those that only the removal of an orphan comes to.
var orphanSteps = []crash.Name{crash.OrphanRenamed}

// TestKilledWhileAnOrphanIsRemoved kills the driver at every step of that. The orphan is one as
// before, whole, or it is gone; nothing else is.
func TestKilledWhileAnOrphanIsRemoved(t *testing.T) {
	for _, at := range append(names(orphanSteps...), string(crash.PurgeStarted), nth(crash.PurgeStarted, 5)) {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(t)
			free := w.free(t)
			w.must(t, w.volume("bystander"), "create", "publish", "write")
			stray := filepath.Join(w.d.PoolDir(), "volumes", "stray")
			if err := os.Mkdir(stray, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := fill(stray, "of nobody. "); err != nil {
				t.Fatal(err)
			}
			w.d.Kill()
			doomed := w.startDoomed(t, at)
			_ = removeOrphan(t, doomed, "default/volumes/stray")
			awaitDeath(t, doomed, at)
			w.start(t)
			if _, err := os.Lstat(stray); err == nil { // nobody was answered
				if err := holds(stray, "of nobody. "); err != nil {
					t.Fatal(err)
				}
				if err := removeOrphan(t, w.d, "default/volumes/stray"); err != nil {
					t.Fatal(err)
				}
			}
			process.Eventually(t, "the trash is empty, and there are no orphans", func() error {
				m, err := w.d.Metrics()
				if n := m[`hostpath_csi_pool_orphans{pool="default"}`]; err == nil && n != 0 {
					err = fmt.Errorf("there are %v orphans", n)
				}
				if err != nil {
					return err
				}
				return process.SameNames(t, filepath.Join(w.d.PoolDir(), ".trash"))
			})
			w.check(t)
			w.end(t)
			w.isFree(t, free)
		})
	}
}

func removeOrphan(t *testing.T, d *process.Driver, orphan string) error {
	t.Helper()
	conn, err := grpc.NewClient(d.Endpoint(), d.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return driver.RemoveOrphan(ctx, conn, orphan)
}
