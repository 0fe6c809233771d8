package backendtest

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var usageTests = []test{
	{"usage counts bytes and inodes", usageCounts},
	{"usage counts a file once, however many links it has", usageHardLinks},
	{"usage counts the blocks of a sparse file", usageSparse},
	{"usage tells the volume's size and what is left of it", usageTotals},
	{"usage does not count another mount", usageMount},
	{"usage of a big volume comes to the exact count", usageBig},
	{"usage of a volume's next life starts anew", usageNextLife},
}

// noise returns bytes that no filesystem can make fewer.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// syncFilesystem has blocks allocated that were not yet.
func syncFilesystem(t *testing.T, f *os.File) {
	t.Helper()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

// counted is what a tree takes, counted by this test.
func counted(t *testing.T, root string) (bytes, inodes int64) {
	t.Helper()
	f, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syncFilesystem(t, f)
	seen := map[uint64]bool{}
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if !seen[st.Ino] {
			seen[st.Ino] = true
			bytes, inodes = bytes+st.Blocks*512, inodes+1
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, inodes
}

// wantUsage compares with a count of the test's own. Where the filesystem itself
// accounts for a volume, it may count what belongs to the volume and is in no file.
func (p *pool) wantUsage(t *testing.T, v state.Volume) state.Usage {
	t.Helper()
	bytes, inodes := counted(t, p.placed(v))
	u, err := p.Usage(t.Context(), v)
	if err != nil {
		t.Fatalf("usage of %s: %v", v.ID, err)
	}
	slack := int64(0)
	if p.Features().EnforcesLimits {
		slack = mib
	}
	if u.UsedBytes < bytes || u.UsedBytes > bytes+slack || u.UsedInodes != inodes {
		t.Errorf("usage tells of %d bytes and %d inodes, want %d and %d", u.UsedBytes, u.UsedInodes, bytes, inodes)
	}
	return u
}

func usageCounts(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.wantUsage(t, v)
	if err := os.WriteFile(p.placed(v)+"/big", noise(5*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	mkdir(t, p.placed(v)+"/x/y/z")
	write(t, p.placed(v)+"/x/y/z/small", "x")
	if err := os.Symlink("/", p.placed(v)+"/link"); err != nil {
		t.Fatal(err)
	}
	for kind, plant := range specialFiles {
		plant(t, filepath.Join(p.placed(v), kind))
	}
	if u := p.wantUsage(t, v); u.UsedBytes < 5*mib {
		t.Errorf("%d bytes used after writing 5 MiB", u.UsedBytes)
	}
}

func usageHardLinks(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	if err := os.WriteFile(p.placed(v)+"/file", noise(mib), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := os.Link(p.placed(v)+"/file", p.placed(v)+"/"+number("link", i)); err != nil {
			t.Fatal(err)
		}
	}
	if u := p.wantUsage(t, v); u.UsedInodes != 2 || u.UsedBytes > 3*mib {
		t.Errorf("one file with eleven names counts as %+v", u)
	}
}

func usageSparse(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	f, err := os.Create(p.placed(v) + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(32 * mib); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(noise(mib), 16*mib); err != nil {
		t.Fatal(err)
	}
	if u := p.wantUsage(t, v); u.UsedBytes < mib || u.UsedBytes > 4*mib {
		t.Errorf("a sparse file with 1 MiB in it counts as %d bytes", u.UsedBytes)
	}
}

func usageTotals(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	if err := os.WriteFile(p.placed(v)+"/file", noise(mib), 0o600); err != nil {
		t.Fatal(err)
	}
	u := p.wantUsage(t, v)
	if u.TotalBytes != v.Status.CapacityBytes || u.AvailableBytes <= 0 || u.AvailableBytes > u.TotalBytes-u.UsedBytes {
		t.Errorf("of %d bytes: %+v", v.Status.CapacityBytes, u)
	}
	if u.TotalInodes == 0 && u.AvailableInodes != 0 || u.TotalInodes != 0 && u.AvailableInodes+u.UsedInodes > u.TotalInodes {
		t.Errorf("inodes make no sense: %+v", u)
	}
	fs, err := p.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fs.TotalInodes == 0 && u.TotalInodes != 0 {
		t.Errorf("the filesystem limits no inodes, the volume tells of %d", u.TotalInodes)
	}
	// A volume that holds more than it was promised has nothing left, not less.
	v.Status.CapacityBytes = 4096
	if u, err := p.Usage(t.Context(), v); err != nil || u.AvailableBytes < 0 {
		t.Errorf("a volume that is too full: %+v, %v", u, err)
	}
}

func usageMount(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.wantUsage(t, v)
	at := mkdir(t, p.placed(v)+"/mnt")
	before := p.wantUsage(t, v)
	mount(t, "tmpfs", at, "tmpfs", 0)
	write(t, at+"/file", "x")
	u, err := p.Usage(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	// The mount's own root may be counted in place of the directory below it.
	if u.UsedInodes != before.UsedInodes || u.UsedBytes > before.UsedBytes {
		t.Errorf("usage grew from %+v to %+v by a mount", before, u)
	}
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
}

func usageBig(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	dirs, files := 30, p.suite.many(300, 100)
	for i := range dirs {
		dir := mkdir(t, p.placed(v)+"/"+number("d", i))
		for j := range files {
			mknod(t, dir+"/"+number("f", j), unix.S_IFREG, 0)
		}
	}
	bytes, inodes := counted(t, p.placed(v))
	ctx := soon(t)
	for {
		u, err := p.Usage(ctx, v)
		if err != nil {
			t.Fatalf("%v; so far %+v, want %d inodes", err, u, inodes)
		}
		if u.UsedInodes > inodes || u.UsedInodes == 0 {
			t.Fatalf("usage tells of %d inodes, there are %d", u.UsedInodes, inodes)
		}
		if u.UsedInodes == inodes {
			if !p.Features().EnforcesLimits && u.UsedBytes != bytes {
				t.Errorf("usage tells of %d bytes, there are %d", u.UsedBytes, bytes)
			}
			return
		}
	}
}

func usageNextLife(t *testing.T, p *pool) {
	first := p.create(t, volume("a"))
	for i := range 3000 {
		mknod(t, p.placed(first)+"/"+number("f", i), unix.S_IFREG, 0)
	}
	ctx := soon(t)
	for {
		u, err := p.Usage(ctx, first)
		if err != nil {
			t.Fatal(err)
		}
		if u.UsedInodes == 3001 {
			break
		}
	}
	p.discard(t, first)
	second := p.create(t, volume("a"))
	p.wantUsage(t, second)
}
