package pool

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// FuzzMarker reads markers of any bytes.
func FuzzMarker(f *testing.F) {
	for _, seed := range []string{"", "{}", "null", `{"uuid":"u","layout":1,"store":"s","createdAt":"2026-01-02T03:04:05Z"}`,
		`{"uuid":"u","layout":2}`, `{"uuid":"u","layout":1e0}`, `{"UUID":"u","LAYOUT":1}`, `{"uuid":"\ud800","layout":1}`} {
		f.Add([]byte(seed))
	}
	path := disk(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(path, MarkerName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := ReadMarker(path)
		switch r := state.ReasonOf(err); {
		case errors.Is(err, ErrNoMarker):
			t.Errorf("%q passes for a missing marker", b)
		case r == state.NotReady, r == state.Unsupported && m.Layout > Layout:
		case err != nil:
			t.Errorf("reading %q: reason %q: %v", b, r, err)
		case m.UUID == "" || m.Layout != Layout:
			t.Errorf("%q is taken for the marker %+v", b, m)
		default:
			// What is good can be written again, and says the same.
			if err := Rebind(path, m.Store); err != nil {
				t.Fatalf("writing %+v again: %v", m, err)
			}
			if again, err := ReadMarker(path); err != nil || !again.CreatedAt.Equal(m.CreatedAt) || again.UUID != m.UUID || again.Store != m.Store {
				t.Errorf("%+v reads back as %+v, %v", m, again, err)
			}
		}
	})
}

// FuzzRecord reads records of any bytes.
func FuzzRecord(f *testing.F) {
	good, err := json.Marshal(volume("a"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(good), "", "{}", "null", `{"id":"a","uid":"b"}`, `{"id":"..","uid":"b"}`, `{"id":"a/b","uid":"b"}`,
		`{"id":"a","uid":"b/../c"}`, `{"id":"a","uid":"b","spec":{"mode":-1}}`, `{"id":"a","uid":"b","deletedAt":"x"}`} {
		f.Add([]byte(seed))
	}
	p := open(f, prepare(f, disk(f)))
	dir := mkdir(f, p.path, VolumesDir, "a")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return // more than the kernel keeps
		}
		if err := unix.Setxattr(dir, backend.RecordXattr, b, 0); err != nil {
			t.Fatal(err)
		}
		v, err := p.ReadRecord("volumes/a")
		if err != nil {
			wantReason(t, state.Corrupt, err)
			return
		}
		if !state.ValidID(v.ID) || !state.ValidID(v.UID) {
			t.Errorf("%q is taken for the record of ID %q, UID %q", b, v.ID, v.UID)
		}
		// What is good can be written again, and says the same.
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := writeRecord(d, item{kind: "volume", id: v.ID, record: v}); err != nil {
			wantReason(t, state.Invalid, err) // it is too long
			return
		}
		again, err := p.ReadRecord("volumes/a")
		x, errX := json.Marshal(v)
		y, errY := json.Marshal(again)
		if err := errors.Join(err, errX, errY); err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s reads back as %s, %v", x, y, err)
		}
	})
}
