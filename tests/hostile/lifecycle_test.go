package hostile

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// TestAVolumeInUseIsNotDeletedNowOrLater deletes a volume that is published. It stays
// usable, and nobody deletes it when it is unpublished or at the next start.
func TestAVolumeInUseIsNotDeletedNowOrLater(t *testing.T) {
	w := start(t)
	id, target := w.published(t, "used")
	write(t, filepath.Join(target, "data"), "precious")
	still := func(when string) {
		t.Helper()
		process.Eventually(t, "nothing is being done", func() error { _, err := w.Settled(); return err })
		if listed, err := w.List(); err != nil || listed[id] != size {
			t.Fatalf("%s: the volume is to be listed: %v, %v", when, listed, err)
		}
		wantContent(t, filepath.Join(w.PoolDir(), "volumes", id, "data"), "precious")
	}
	for range 3 {
		err := w.Delete(id)
		want(t, "DeleteVolume of one in use", err, codes.FailedPrecondition)
		wantWords(t, "DeleteVolume of one in use", err, id, target)
		still("after the refusal")
	}
	_, err := w.NodeGetVolumeStats(ctx(t), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
	must(t, err)
	write(t, filepath.Join(target, "more"), "can be written")
	must(t, w.Publish(id, w.target("second")))
	must(t, w.Expand(id, size)) // as large as it is
	must(t, w.Unpublish(id, w.target("second")))
	want(t, "DeleteVolume of one that is published elsewhere still", w.Delete(id), codes.FailedPrecondition)
	must(t, w.Unpublish(id, target))
	still("after unpublish")

	must(t, w.Terminate())
	w.Driver = process.Start(t, process.Options{Dir: w.Dir, Metrics: true})
	still("after a restart")
	must(t, w.Publish(id, target))
	wantContent(t, filepath.Join(target, "data"), "precious")
	want(t, "DeleteVolume after a restart", w.Delete(id), codes.FailedPrecondition)
	w.Kill()
	w.Driver = process.Start(t, process.Options{Dir: w.Dir, Metrics: true})
	still("after a kill")
	wantContent(t, filepath.Join(target, "data"), "precious")
	must(t, w.Unpublish(id, target))
	w.gone(t, id)
}

// TestAVolumeInUseStaysThoughTheCallerOfItsDeletionGoesAway has calls end at every
// instant between the question and the refusal.
func TestAVolumeInUseStaysThoughTheCallerOfItsDeletionGoesAway(t *testing.T) {
	w := start(t)
	id, target := w.published(t, "used")
	write(t, filepath.Join(target, "data"), "precious")
	cut := 0
	for i := range 150 {
		c, cancel := context.WithTimeout(context.Background(), time.Duration(i)*40*time.Microsecond)
		_, err := w.DeleteVolume(c, &csi.DeleteVolumeRequest{VolumeId: id})
		cancel()
		if !want(t, "DeleteVolume of one in use", err, codes.FailedPrecondition, codes.DeadlineExceeded, codes.Aborted) {
			break
		}
		if status.Code(err) == codes.DeadlineExceeded {
			cut++
		}
		process.Eventually(t, fmt.Sprintf("the volume is there after a call of %d us", i*40), func() error {
			_, err := w.NodeGetVolumeStats(ctx(t), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
			return err
		})
	}
	if cut == 0 {
		t.Error("no call was ever cut short")
	}
	must(t, w.Unpublish(id, target))
	process.Eventually(t, "nothing is being done", func() error { _, err := w.Settled(); return err })
	w.Kill()
	w.Driver = process.Start(t, process.Options{Dir: w.Dir, Metrics: true})
	must(t, w.Publish(id, target))
	wantContent(t, filepath.Join(target, "data"), "precious")
	must(t, w.Unpublish(id, target))
}

// TestAVolumeIsNewWhenItsNameIsUsedAgain writes into many lives of one name.
func TestAVolumeIsNewWhenItsNameIsUsedAgain(t *testing.T) {
	w := start(t)
	for i := range 20 {
		id, target := w.published(t, "again")
		wantEmpty(t, target)
		write(t, filepath.Join(target, "life"), fmt.Sprint(i))
		must(t, w.Unpublish(id, target))
		must(t, w.Delete(id))
		must(t, w.Delete(id))
		_, err := w.ControllerGetVolume(ctx(t), &csi.ControllerGetVolumeRequest{VolumeId: id})
		want(t, "ControllerGetVolume of a deleted one", err, codes.NotFound)
		want(t, "publish of a deleted one", w.Publish(id, target), codes.NotFound)
	}
}

// TestPagesNeitherHideNorRepeat lists in pages while volumes come and go.
func TestPagesNeitherHideNorRepeat(t *testing.T) {
	w := start(t)
	const stay = 40
	for i := range stay {
		w.made(t, fmt.Sprintf("stays-%02d", i))
	}
	for _, limit := range []int32{1, 3, 7, stay, 1000} {
		seen := map[string]int{}
		token, page := "", 0
		for {
			resp, err := w.ListVolumes(ctx(t), &csi.ListVolumesRequest{MaxEntries: limit, StartingToken: token})
			must(t, err)
			if len(resp.GetEntries()) > int(limit) {
				t.Errorf("a page of %d has %d entries", limit, len(resp.GetEntries()))
			}
			last := ""
			for _, e := range resp.GetEntries() {
				seen[e.GetVolume().GetVolumeId()]++
				last = e.GetVolume().GetVolumeId()
			}
			if token = resp.GetNextToken(); token == "" {
				break
			}
			page++
			// Some come before and behind the page's end, the last one goes, and so do
			// those that came before.
			if strings.HasPrefix(last, "comes-") {
				must(t, w.Delete(last))
			}
			w.made(t, fmt.Sprintf("comes-%03d", page))
			w.made(t, fmt.Sprintf("stays-%02d-and-one", page))
			must(t, w.Delete(fmt.Sprintf("comes-%03d", page-1)))
			must(t, w.Delete(fmt.Sprintf("stays-%02d-and-one", page-1)))
		}
		for i := range stay {
			if n := seen[fmt.Sprintf("stays-%02d", i)]; n != 1 {
				t.Errorf("in pages of %d, stays-%02d was listed %d times", limit, i, n)
			}
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("in pages of %d, %s was listed %d times", limit, id, n)
			}
		}
		listed, err := w.List()
		must(t, err)
		for id := range listed {
			if strings.Contains(id, "comes") || strings.Contains(id, "and-one") {
				must(t, w.Delete(id))
			}
		}
	}
}

// TestSizesAreKeptGrownAndNeverShrunk gives every size that makes no sense, and some
// that do.
func TestSizesAreKeptGrownAndNeverShrunk(t *testing.T) {
	w := start(t)
	id, target := w.published(t, "volume")
	write(t, filepath.Join(target, "data"), "precious")
	expand := func(least, most int64) (int64, error) {
		resp, err := w.ControllerExpandVolume(ctx(t), &csi.ControllerExpandVolumeRequest{VolumeId: id,
			CapacityRange: &csi.CapacityRange{RequiredBytes: least, LimitBytes: most}})
		return resp.GetCapacityBytes(), err
	}
	total := func() int64 {
		resp, err := w.NodeGetVolumeStats(ctx(t), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
		must(t, err)
		for _, u := range resp.GetUsage() {
			if u.GetUnit() == csi.VolumeUsage_BYTES {
				return u.GetTotal()
			}
		}
		t.Fatal("no usage in bytes")
		return 0
	}
	for _, c := range []struct {
		least, most, bytes int64
		code               codes.Code
	}{
		{2 * size, 0, 2 * size, codes.OK},
		{2 * size, 0, 2 * size, codes.OK},
		{2*size + 1, 0, 2*size + 1, codes.OK},
		{size, 0, 2*size + 1, codes.OK}, // it has that much
		{1, 0, 2*size + 1, codes.OK},
		{0, 3 * size, 2*size + 1, codes.OK},
		{3 * size, 4 * size, 3 * size, codes.OK},
		{0, size, 0, codes.OutOfRange}, // it is never made smaller
		{size, 2 * size, 0, codes.OutOfRange},
		{5 * size, 4 * size, 0, codes.InvalidArgument},
		{-1, 0, 0, codes.InvalidArgument},
		{0, -1, 0, codes.InvalidArgument},
		{math.MinInt64, math.MinInt64, 0, codes.InvalidArgument},
		{math.MaxInt64, 0, 0, codes.OutOfRange},
		{math.MaxInt64, math.MaxInt64, 0, codes.OutOfRange},
	} {
		bytes, err := expand(c.least, c.most)
		if want(t, fmt.Sprintf("expand to %d..%d", c.least, c.most), err, c.code) && bytes != c.bytes {
			t.Errorf("expand to %d..%d: wanted is %d, got %d", c.least, c.most, c.bytes, bytes)
		}
	}
	if got := total(); got != 3*size {
		t.Errorf("the volume's total is %d, and is to be %d", got, 3*size)
	}
	_, err := w.ControllerExpandVolume(ctx(t), &csi.ControllerExpandVolumeRequest{VolumeId: id})
	want(t, "expand to nothing", err, codes.InvalidArgument)
	wantContent(t, filepath.Join(target, "data"), "precious")

	for _, c := range []struct {
		least, most int64
		codes       []codes.Code
	}{
		{-1, 0, []codes.Code{codes.InvalidArgument}},
		{0, -1, []codes.Code{codes.InvalidArgument}},
		{2, 1, []codes.Code{codes.InvalidArgument}},
		{math.MaxInt64, 0, []codes.Code{codes.OutOfRange, codes.ResourceExhausted}},
		{math.MaxInt64 - 1, math.MaxInt64, []codes.Code{codes.OutOfRange, codes.ResourceExhausted}},
	} {
		request := process.CreateRequest("refused", c.least)
		request.CapacityRange.LimitBytes = c.most
		_, err := w.CreateVolume(ctx(t), request)
		want(t, fmt.Sprintf("create with %d..%d", c.least, c.most), err, c.codes...)
	}
	// The same name with what it has not.
	request := process.CreateRequest("volume", 4*size)
	_, err = w.CreateVolume(ctx(t), request)
	want(t, "create again, larger", err, codes.AlreadyExists)
	process.Eventually(t, "as much is promised as there is", func() error {
		m, err := w.Settled()
		if got := m["hostpath_csi_pool_allocated_bytes"]; err == nil && got != 3*size {
			err = fmt.Errorf("%v bytes are allocated", got)
		}
		return err
	})
}

// TestSecretsAreNotLogged sends secrets with everything that takes some, to a driver
// that logs all it can.
func TestSecretsAreNotLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		w := start(t, "-v", "9", "--log-format", format)
		secret := func(where string) map[string]string {
			return map[string]string{"password": "hunter2-" + where, "key-" + where: "hunter2"}
		}
		capability := process.Capability(process.SingleWriter)
		create := process.CreateRequest("volume", size)
		create.Secrets = secret("create")
		_, err := w.CreateVolume(ctx(t), create)
		must(t, err)
		create = process.CreateRequest("", size)
		create.Secrets = secret("refused")
		_, err = w.CreateVolume(ctx(t), create)
		want(t, "CreateVolume without a name", err, codes.InvalidArgument)
		create.Name, create.Secrets = "flagged", nil
		create.VolumeCapabilities = []*csi.VolumeCapability{capability, process.Capability(process.SingleWriter, "password=hunter2-create")}
		_, err = w.CreateVolume(ctx(t), create)
		want(t, "CreateVolume with an unknown flag", err, codes.InvalidArgument)
		_, err = w.ControllerExpandVolume(ctx(t), &csi.ControllerExpandVolumeRequest{VolumeId: "volume", Secrets: secret("expand"), CapacityRange: &csi.CapacityRange{RequiredBytes: 2 * size}})
		must(t, err)
		_, err = w.ValidateVolumeCapabilities(ctx(t), &csi.ValidateVolumeCapabilitiesRequest{VolumeId: "volume", Secrets: secret("validate"), VolumeCapabilities: []*csi.VolumeCapability{capability}})
		must(t, err)
		publish := process.PublishRequest("volume", w.target("target"), process.SingleWriter)
		publish.Secrets = secret("publish")
		_, err = w.NodePublishVolume(ctx(t), publish)
		must(t, err)
		publish = process.PublishRequest("volume", "relative", process.SingleWriter)
		publish.Secrets = secret("refused-publish")
		_, err = w.NodePublishVolume(ctx(t), publish)
		want(t, "publish at a relative path", err, codes.InvalidArgument)
		// Mount flags may be secrets, too (CSI: VolumeCapability.MountVolume.mount_flags).
		_, err = w.NodePublishVolume(ctx(t), process.PublishRequest("volume", w.target("flag"), process.SingleWriter, "password=hunter2-flag"))
		want(t, "publish with an unknown flag", err, codes.InvalidArgument)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("an error tells a secret: %v", err)
		}
		// What no handler is there for is logged by nobody, or without its secrets.
		_, _ = w.NodeStageVolume(ctx(t), &csi.NodeStageVolumeRequest{VolumeId: "volume", Secrets: secret("stage")})
		_, _ = w.CreateSnapshot(ctx(t), &csi.CreateSnapshotRequest{Name: "snapshot", Secrets: secret("snapshot")})
		_, _ = w.ControllerPublishVolume(ctx(t), &csi.ControllerPublishVolumeRequest{VolumeId: "volume", Secrets: secret("attach")})
		must(t, w.Unpublish("volume", w.target("target")))
		_, err = w.DeleteVolume(ctx(t), &csi.DeleteVolumeRequest{VolumeId: "volume", Secrets: secret("delete")})
		must(t, err)
		for _, said := range []string{"CreateVolume", "required_bytes", "NodePublishVolume", w.target("target"), "password=..."} {
			if !strings.Contains(w.Log(), said) {
				t.Errorf("the log (%s) does not tell of %q", format, said)
			}
		}
		for line := range strings.Lines(w.Log()) {
			if strings.Contains(line, "hunter2") {
				t.Errorf("the log (%s) tells a secret: %s", format, line)
			}
		}
	}
}
