package projectquota

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// TestWithoutQuota: where limits are not enforced, a volume is a plain directory, and
// what would have to be done is told.
func TestWithoutQuota(t *testing.T) {
	for _, c := range []struct {
		kind, mkfs string
		shares     bool
		want       string
	}{
		{"xfs", "reflink=1", true, "mount it with `-o prjquota`"},
		{"xfs", "reflink=0", false, "mount it with `-o prjquota`"},
		{"ext4", "", false, "mkfs.ext4 -O quota,project"},
	} {
		t.Run(c.kind+" "+c.mkfs, func(t *testing.T) {
			args := []string{"-N", "120000"}
			if c.mkfs != "" {
				args = []string{"-m", c.mkfs}
			}
			at := filesystem.New(t, c.kind, 1<<30, filesystem.MkfsArgs(args...))
			b := openNew(t, filepath.Join(at, "one"), Options{})
			if got, want := b.Features(), (backend.Features{Filesystem: c.kind, SharesBlocks: c.shares}); got != want {
				t.Errorf("features %+v, want %+v", got, want)
			}
			if err := b.Unenforced(); state.ReasonOf(err) != state.Unsupported || !strings.Contains(err.Error(), c.want) {
				t.Errorf("why: %v (%s); want Unsupported and %q", err, state.ReasonOf(err), c.want)
			}
			if err := b.Build(t.Context(), volume("a", 7, mib)); state.ReasonOf(err) != state.Unsupported || !strings.Contains(err.Error(), c.want) {
				t.Errorf("a volume that is to be limited: %v; want Unsupported and the remedy", err)
			}
			if ids := b.QuotaIDs(); ids != nil {
				t.Errorf("quota IDs are given out: %v", ids)
			}
			if n, err := b.Sweep(); n != 0 || err != nil {
				t.Errorf("swept %d, %v", n, err)
			}
		})
	}
}

func TestWrongRange(t *testing.T) {
	at := filesystem.New(t, "tmpfs", mib)
	b := openNew(t, at, Options{})
	if _, err := New(b.Pool, Options{Range: quota.Range{First: 0, Count: 10}}); state.ReasonOf(err) != state.Invalid {
		t.Errorf("a range with project 0: %v, want Invalid", err)
	}
}
