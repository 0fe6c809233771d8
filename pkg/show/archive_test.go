package show

import (
	"bytes"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAnArchiveTellsWhoseWhatWasAndSinceWhen(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	deleted := now.Add(-72 * time.Hour)
	l := Archive{Archived: []Archived{
		{Name: "shop_data-db-0.2026-03-01.6f1e2d1c", Pool: "fast", Path: "/mnt/pool/archive/x", VolumeID: "pvc-1", Claim: &state.Claim{Namespace: "shop", Name: "data-db-0"}, CapacityBytes: 1 << 30, DeletedAt: &deleted},
		{Name: "by\nhand", Pool: "fast", Path: "/mnt/pool/archive/by\nhand"},
	}}
	const want = "" +
		"NAME                                 CLAIM            VOLUME   POOL      SIZE   DELETED   PATH\n" +
		"shop_data-db-0.2026-03-01.6f1e2d1c   shop/data-db-0   pvc-1    fast   1.0 GiB    3d ago   /mnt/pool/archive/x\n" +
		"\"by\\nhand\"                           -                -        fast         -         -   \"/mnt/pool/archive/by\\nhand\"\n"
	var out bytes.Buffer
	if err := l.Table(now).Write(&out, Style{}); err != nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out.String(), want)
	}
}
