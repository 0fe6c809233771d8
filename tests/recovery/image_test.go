package recovery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// TestAPoolInAnImageIsMountedToBeRecovered loses the store while the pool's image is not
// mounted, as after a reboot: that there are volumes in it is seen all the same, by the
// driver, which takes no new store, and by recover.
func TestAPoolInAnImageIsMountedToBeRecovered(t *testing.T) {
	dir := process.TempDir(t)
	o := process.Options{Dir: dir, Pool: ",image=" + filepath.Join(dir, "pool.img") + ",size=320Mi,filesystem=btrfs,provisioning=thin"}
	d := process.Start(t, o)
	_, err := d.Create("one", 1<<20)
	must(t, err)
	file := filepath.Join(d.PoolDir(), "volumes", "one", "file")
	must(t, os.WriteFile(file, []byte(content), 0o600))
	d.Kill()
	must(t, unix.Unmount(d.PoolDir(), 0))
	must(t, os.RemoveAll(d.StateDir()))

	d = process.Launch(t, o)
	if err := d.AwaitServing(); err == nil {
		t.Fatal("the driver serves without its store")
	}
	if !strings.Contains(d.Log(), "hostpath-csi recover") {
		t.Errorf("the driver does not name the remedy:\n%s", d.Log())
	}
	must(t, unix.Unmount(d.PoolDir(), 0))

	out, err := exec.Command(process.Binary(t, ""), "recover", "--state-dir", d.StateDir(), "--pool", "default="+d.PoolDir()+o.Pool).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 recorded") {
		t.Fatalf("recover says %s, %v", out, err)
	}
	d = process.Start(t, o)
	if got := sizes(t, d); got["one"] != 1<<20 {
		t.Errorf("volumes are %v", got)
	}
	if b, err := os.ReadFile(file); string(b) != content {
		t.Errorf("the volume holds %q, %v", b, err)
	}
	must(t, d.Delete("one"))
}
