// Package backendtest is the one suite that every backend.Backend passes. What a
// backend promises is told by its Features, and no test looks at its name.
package backendtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Open returns a backend for a new, empty pool and closes it when t ends. The
// filesystem has at least 512 MiB and 100,000 inodes free. The backend tells where its
// pool is by a method Path() string.
type Open func(t *testing.T) backend.Backend

// An Option tells what else can be done with a backend.
type Option func(*suite)

// Reopen says how a pool is closed and opened again, as by a restart. Without it,
// what must outlive that is not tested.
func Reopen(reopen func(t *testing.T, b backend.Backend) backend.Backend) Option {
	return func(s *suite) { s.reopen = reopen }
}

// Slow is for kernels to which a system call is work, as that of the virtual machine:
// what is only about how much there is, is done with less of it.
func Slow(s *suite) { s.slow = true }

type suite struct {
	open   Open
	reopen func(t *testing.T, b backend.Backend) backend.Backend
	slow   bool
}

// many is how often something is done: much, or what is enough where all is slow.
func (s *suite) many(much, enough int) int {
	if s.slow {
		return enough
	}
	return much
}

// test is one test of the suite, with a pool of its own.
type test struct {
	name string
	run  func(t *testing.T, p *pool)
}

// group is a part of the suite. A new promise is a new field of Features and a new
// group here, which is run where the promise is made.
type group struct {
	promised func(backend.Features) bool // nil: by all
	tests    []test
}

var groups = []group{
	{tests: lifecycleTests},
	{tests: claimTests},
	{tests: discardTests},
	{tests: hostileTests},
	{tests: purgeTests},
	{promised: func(f backend.Features) bool { return !f.RemovesAtOnce }, tests: purgeStepwiseTests},
	{promised: func(f backend.Features) bool { return f.RemovesAtOnce }, tests: purgeAtOnceTests},
	{tests: emptyTests},
	{promised: func(f backend.Features) bool { return f.EnforcesLimits }, tests: emptyLimitTests},
	{tests: usageTests},
	{tests: parallelTests},
	{tests: adoptTests},
	{tests: orphanTests},
	{promised: func(f backend.Features) bool { return f.EnforcesLimits }, tests: limitTests},
	{promised: func(f backend.Features) bool { return f.EnforcesLimits }, tests: adoptLimitTests},
	{promised: func(f backend.Features) bool { return f.EnforcesLimits }, tests: restoreLimitTests},
	{tests: copyTests},
	{promised: func(f backend.Features) bool { return f.EnforcesLimits }, tests: copyLimitTests},
	// Last: what a removed image gives back, btrfs counts only later.
	{tests: blockTests},
	{tests: emptyBlockTests},
	{tests: blockCopyTests},
	{tests: restoreTests},
}

// Run runs the whole suite.
func Run(t *testing.T, open Open, options ...Option) {
	s := &suite{open: open}
	for _, option := range options {
		option(s)
	}
	var features backend.Features
	t.Run("a backend tells its features", func(t *testing.T) {
		features = open(t).Features()
		if features.Filesystem == "" {
			t.Error("Features().Filesystem is empty")
		}
	})
	for _, g := range groups {
		if g.promised != nil && !g.promised(features) {
			continue
		}
		for _, test := range g.tests {
			t.Run(test.name, func(t *testing.T) { test.run(t, s.pool(t)) })
		}
	}
}

// pool is the backend under test, and the directory that it works in.
type pool struct {
	backend.Backend
	path  string
	suite *suite
}

func (s *suite) pool(t *testing.T) *pool {
	t.Helper()
	return s.wrap(t, s.open(t))
}

func (s *suite) wrap(t *testing.T, b backend.Backend) *pool {
	t.Helper()
	at, ok := b.(interface{ Path() string })
	if !ok {
		t.Fatalf("%T has no method Path() string that tells where its pool is", b)
	}
	return &pool{Backend: b, path: at.Path(), suite: s}
}

// in returns a path of the pool.
func (p *pool) in(elem ...string) string {
	return filepath.Join(append([]string{p.path}, elem...)...)
}

func (p *pool) placed(v state.Volume) string   { return p.in("volumes", v.ID) }
func (p *pool) building(v state.Volume) string { return p.in(".tmp", backend.PassingName(v)) }
func (p *pool) trashed(v state.Volume) string  { return p.in(".trash", backend.PassingName(v)) }

const mib = 1 << 20

// volume returns the record of a new volume, as a store would make it.
func volume(id string) state.Volume {
	var uid [16]byte
	rand.Read(uid[:])
	return state.Volume{
		Meta: state.Meta{ID: id, UID: hex.EncodeToString(uid[:]), Generation: 1, CreatedAt: time.Now().UTC()},
		Spec: state.VolumeSpec{Name: "the CSI name of " + id, Node: "node-1", Pool: "default", CapacityBytes: 64 * mib,
			AccessType: state.MountAccess, Mode: 0o777, Claim: &state.Claim{Namespace: "default", Name: "data", PV: id}},
	}
}

// ready returns the record as it is once the volume can be used.
func ready(v state.Volume) state.Volume {
	v.Status = state.VolumeStatus{Phase: state.Ready, Path: backend.VolumePath(v.ID), CapacityBytes: v.Spec.CapacityBytes, ObservedGeneration: v.Generation}
	return v
}

// build builds a volume.
func (p *pool) build(t *testing.T, v state.Volume) state.Volume {
	t.Helper()
	if err := p.Build(t.Context(), v); err != nil {
		t.Fatalf("building %s: %v", v.ID, err)
	}
	return v
}

// create builds and places a volume.
func (p *pool) create(t *testing.T, v state.Volume) state.Volume {
	t.Helper()
	p.build(t, v)
	if _, err := p.Place(t.Context(), v); err != nil {
		t.Fatalf("placing %s: %v", v.ID, err)
	}
	return ready(v)
}

// discard discards a volume, durably.
func (p *pool) discard(t *testing.T, v state.Volume) {
	t.Helper()
	if err := errors.Join(p.Discard(t.Context(), v), p.Settle(t.Context())); err != nil {
		t.Fatalf("discarding %s: %v", v.ID, err)
	}
}

// purgeAll empties the trash and returns how many inodes were told to be gone.
func (p *pool) purgeAll(t *testing.T) (told int) {
	t.Helper()
	for {
		entries, err := p.Trash(t.Context())
		if err != nil {
			t.Fatalf("listing the trash: %v", err)
		}
		if len(entries) == 0 {
			return told
		}
		for _, name := range entries {
			if err := p.Purge(t.Context(), name, func(n int) { told += n }); err != nil {
				t.Fatalf("purging %q: %v", name, err)
			}
		}
	}
}

// wantContents compares the whole of the pool, by the disk and by Contents.
func (p *pool) wantContents(t *testing.T, volumes, building, trash []string) {
	t.Helper()
	c, err := p.Contents(t.Context())
	if err != nil {
		t.Fatalf("listing the pool: %v", err)
	}
	for _, part := range []struct {
		dir  string
		got  map[string]struct{}
		want []string
	}{{"volumes", c.Volumes, volumes}, {".tmp", c.Building, building}, {".trash", c.Trash, trash}} {
		want := map[string]struct{}{}
		for _, name := range part.want {
			want[name] = struct{}{}
		}
		if !reflect.DeepEqual(part.got, want) {
			t.Errorf("Contents tells of %v in %s, want %v", part.got, part.dir, want)
		}
		if there := names(t, p.in(part.dir)); !reflect.DeepEqual(there, want) {
			t.Errorf("%s holds %v, want %v", part.dir, there, want)
		}
	}
}

func names(t *testing.T, dir string) map[string]struct{} {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]struct{}{}
	for _, e := range entries {
		all[e.Name()] = struct{}{}
	}
	return all
}

func wantReason(t *testing.T, want state.Reason, err error) {
	t.Helper()
	if got := state.ReasonOf(err); got != want {
		t.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func wantThere(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("want %s: %v", path, err)
	}
}

func wantGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there (%v), want it gone", path, err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
	}
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, contents string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

// inodeOf returns what names the file of an O_PATH descriptor.
func inodeOf(t *testing.T, f *os.File) [2]uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatalf("fstat of %s: %v", f.Name(), err)
	}
	return [2]uint64{st.Dev, st.Ino}
}

func number(prefix string, i int) string { return prefix + "-" + strconv.Itoa(i) }

// patience bounds what must happen soon; only a failing test waits that long.
const patience = time.Minute

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
