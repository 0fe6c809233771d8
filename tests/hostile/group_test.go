package hostile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// publishTo publishes a volume for a group.
func (w *world) publishTo(t *testing.T, id, target, group string, readOnly bool) error {
	t.Helper()
	req := process.PublishRequest(id, target, process.SingleWriter)
	req.GetVolumeCapability().GetMount().VolumeMountGroup = group
	req.Readonly = readOnly
	_, err := w.NodePublishVolume(ctx(t), req)
	return err
}

// ownership tells of a group and permission bits, as "2000 2770".
func ownership(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(int(st.Gid)) + " " + strconv.FormatUint(uint64(st.Mode&0o7777), 8)
}

// TestAMountGroup publishes a volume to one group and then to another. What a pod has put
// into it, such as a link to what is not its own, does not lead the driver out of it.
func TestAMountGroup(t *testing.T) {
	w := start(t)
	id, target := w.made(t, "shared"), w.target("shared")
	outside := filepath.Join(w.base, "bystander", "file")
	before := ownership(t, outside)

	for _, wrong := range []string{"users", "-1", "4294967295"} {
		want(t, "group "+wrong, w.publishTo(t, id, target, wrong, false), codes.InvalidArgument)
	}
	if err := w.publishTo(t, id, target, "2000", false); err != nil {
		t.Fatal(err)
	}
	if got := ownership(t, target); got != "2000 2777" {
		t.Errorf("the volume's root is %s", got)
	}
	file := filepath.Join(target, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o640), os.Chmod(file, 0o600), os.Symlink(outside, filepath.Join(target, "link"))); err != nil {
		t.Fatal(err)
	}
	if got := ownership(t, file); got != "2000 600" {
		t.Errorf("what was made in the volume is %s", got)
	}
	if err := w.publishTo(t, id, target, "2000", false); err != nil || ownership(t, file) != "2000 600" {
		t.Errorf("published once more: %v, %s", err, ownership(t, file))
	}
	if err := errors.Join(w.Unpublish(id, target), w.publishTo(t, id, target, "2001", true)); err != nil {
		t.Fatal(err)
	}
	if got := ownership(t, file); got != "2000 600" {
		t.Errorf("published for reading, it is %s", got)
	}
	if err := errors.Join(w.Unpublish(id, target), w.publishTo(t, id, target, "2001", false)); err != nil {
		t.Fatal(err)
	}
	if got, link := ownership(t, file), ownership(t, filepath.Join(target, "link")); got != "2001 660" || link != "2001 777" {
		t.Errorf("published to another group, it is %s, and the link %s", got, link)
	}
	if after := ownership(t, outside); after != before {
		t.Errorf("the file that the link leads to was %s and is %s", before, after)
	}
	if err := w.Unpublish(id, target); err != nil {
		t.Fatal(err)
	}

	caps, err := w.NodeGetCapabilities(ctx(t), &csi.NodeGetCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range caps.GetCapabilities() {
		if c.GetRpc().GetType() == csi.NodeServiceCapability_RPC_VOLUME_MOUNT_GROUP {
			return
		}
	}
	t.Error("the node does not tell that it takes groups")
}
