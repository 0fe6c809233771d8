package backendtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var hostileTests = []test{
	{"a record that cannot name a directory is refused", hostileRecords},
	{"a name that is no directory entry is refused", hostileNames},
	{"a symbolic link in a volume's place is not followed", plantedLink},
	{"a record is not read through a symbolic link", plantedRecord},
	{"something else than a directory in a volume's place harms nobody", plantedThings},
}

// listing is everything in a directory tree, with what files and links hold.
func listing(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		b.WriteString(path + " " + d.Type().String())
		switch {
		case d.Type().IsRegular():
			contents, err := os.ReadFile(path)
			b.WriteString(" " + string(contents))
			return errors.Join(err, b.WriteByte('\n'))
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			b.WriteString(" " + to)
			return errors.Join(err, b.WriteByte('\n'))
		}
		return b.WriteByte('\n')
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantUntouched(t *testing.T, root, before string) {
	t.Helper()
	if after := listing(t, root); after != before {
		t.Errorf("%s was changed from\n%s\nto\n%s", root, before, after)
	}
}

func hostileRecords(t *testing.T, p *pool) {
	p.create(t, volume("a"))
	write(t, p.in("volumes", "a", "file"), "data")
	write(t, p.in("beside"), "data")
	mkdir(t, p.in("volumes", "a", "b"))
	before := listing(t, p.path)
	good := volume("good")
	for _, c := range []struct{ id, uid string }{
		{"..", good.UID}, {".", good.UID}, {"", good.UID}, {"a/b", good.UID}, {"../beside", good.UID}, {"/etc", good.UID},
		{"a/../../beside", good.UID}, {"A", good.UID}, {"a\x00", good.UID}, {"a\n", good.UID}, {".a", good.UID}, {"a.", good.UID},
		{"a..b", good.UID}, {"-a", good.UID}, {"\xff", good.UID}, {strings.Repeat("a", 64), good.UID}, {strings.Repeat("a/", 3000), good.UID},
		{"a", ""}, {"a", ".."}, {"a", "x/y"}, {"a", "/"}, {"a", "x/../../volumes/a"}, {"a", "\x00"}, {"a", strings.Repeat("f", 300)},
	} {
		v := good
		v.ID, v.UID = c.id, c.uid
		for _, v := range []state.Volume{v, ready(v)} {
			wantReason(t, state.Invalid, p.Build(t.Context(), v))
			_, err := p.Place(t.Context(), v)
			wantReason(t, state.Invalid, err)
			wantReason(t, state.Invalid, p.Resize(t.Context(), v))
			wantReason(t, state.Invalid, p.Discard(t.Context(), v))
			_, err = p.Usage(t.Context(), v)
			wantReason(t, state.Invalid, err)
			f, err := p.Open(v)
			wantReason(t, state.Invalid, err)
			if err == nil {
				_ = f.Close()
			}
		}
		if t.Failed() {
			t.Fatalf("ID %q with UID %q", c.id, c.uid)
		}
	}
	wantUntouched(t, p.path, before)
}

func hostileNames(t *testing.T, p *pool) {
	p.create(t, volume("a"))
	mkdir(t, p.in("volumes", "empty"))
	write(t, p.in("beside"), "data")
	before := listing(t, p.path)
	for _, name := range []string{"", ".", "..", "/", "../beside", "../volumes/a", "../volumes/empty", "a/../../beside", p.in("beside"), "nosuch/.."} {
		wantReason(t, state.Invalid, p.Purge(t.Context(), name, func(int) {}))
		wantReason(t, state.Invalid, p.DiscardLeaving(name))
		if t.Failed() {
			t.Fatalf("name %q", name)
		}
	}
	for _, path := range []string{"..", "../", "/etc", "volumes/../..", "nosuch"} {
		if v, err := p.ReadRecord(path); err == nil {
			t.Errorf("a record was read from %q: %+v", path, v)
		}
	}
	wantUntouched(t, p.path, before)
}

func plantedLink(t *testing.T, p *pool) {
	outside := mkdir(t, p.path+".outside")
	write(t, filepath.Join(outside, "file"), "data")
	before := listing(t, outside)
	other := p.create(t, volume("other"))
	write(t, p.in("volumes", "other", "file"), "data")
	for _, target := range []string{outside, "../../" + filepath.Base(outside), "other", "../volumes/other", "/proc/self/root", "nosuch", "."} {
		v := ready(volume("a"))
		if err := os.Symlink(target, p.placed(v)); err != nil {
			t.Fatal(err)
		}
		f, err := p.Open(v)
		wantReason(t, state.Lost, err)
		if err == nil {
			_ = f.Close()
		}
		_, err = p.Usage(t.Context(), v)
		wantReason(t, state.Lost, err)
		wantReason(t, state.Lost, p.Resize(t.Context(), v))
		p.discard(t, v) // the link, not what it leads to
		p.purgeAll(t)
		wantGone(t, p.placed(v))

		// The same in .tmp, where an attempt may be replaced.
		if err := os.Symlink(target, p.building(v)); err != nil {
			t.Fatal(err)
		}
		f, err = p.Open(v)
		wantReason(t, state.Lost, err)
		if err == nil {
			_ = f.Close()
		}
		v.Status = state.VolumeStatus{}
		v = p.create(t, v)
		p.discard(t, v)
		p.purgeAll(t)
		if t.Failed() {
			t.Fatalf("link to %q", target)
		}
	}
	wantUntouched(t, outside, before)
	wantFile(t, p.in("volumes", "other", "file"), "data")
	other.Status = state.VolumeStatus{}
	p.wantRecord(t, backend.VolumePath("other"), other)
}

func plantedRecord(t *testing.T, p *pool) {
	p.create(t, volume("a"))
	for _, link := range [][2]string{{"a", "link"}, {"../volumes", "dirlink"}} {
		if err := os.Symlink(link[0], p.in("volumes", link[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"volumes/link", "volumes/dirlink/a"} {
		if v, err := p.ReadRecord(path); err == nil {
			t.Errorf("a record was read through %s: %+v", path, v)
		}
	}
}

func plantedThings(t *testing.T, p *pool) {
	for kind, plant := range specialFiles {
		v := ready(volume("a"))
		plant(t, p.placed(v))
		// Nothing of this may wait for the other end of a pipe.
		if f, err := p.Open(v); err == nil {
			_ = f.Close()
		}
		_, _ = p.Usage(t.Context(), v)
		if _, err := p.ReadRecord(backend.VolumePath(v.ID)); err == nil {
			t.Errorf("a record was read from a %s", kind)
		}
		p.discard(t, v)
		p.purgeAll(t)
		p.wantContents(t, nil, nil, nil)
	}
}
