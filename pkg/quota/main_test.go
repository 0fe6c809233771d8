package quota

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// TestMain gives up CAP_SYS_RESOURCE, in the process that filesystem.Main starts: with
// it, no limit of ext4 holds, and an ordinary pod's root has none.
func TestMain(m *testing.M) {
	runtime.LockOSThread() // the bounding set is the thread's
	if os.Geteuid() == 0 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_RESOURCE, 0, 0, 0); err != nil {
			panic(err)
		}
	}
	filesystem.Main(m)
}
