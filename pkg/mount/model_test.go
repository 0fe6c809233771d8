package mount

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const foreigner = "FOREIGN"

// layer is a mount in the model: a volume's, or a foreigner's.
type layer struct {
	volume string
	ro     bool
}

// at is a volume at a target.
type at struct{ volume, target string }

// model says what the table and the kernel should be like.
type model struct {
	stacks    map[string][]layer
	exclusive map[at]bool
	stale     map[at]bool // unmounted by hand: the table may not know yet
	retired   map[string]func()
}

// targetsOf lists where a volume is mounted, visible or not.
func (m *model) targetsOf(volume string) []string {
	var all []string
	for target, stack := range m.stacks {
		if slices.ContainsFunc(stack, func(l layer) bool { return l.volume == volume }) {
			all = append(all, target)
		}
	}
	return all
}

func (m *model) publish(volume, target string, ro, exclusive, fails bool) state.Reason {
	if m.retired[volume] != nil {
		return state.Busy
	}
	for _, other := range m.targetsOf(volume) {
		if other != target && (exclusive || m.exclusive[at{volume, other}]) {
			return state.InUse
		}
	}
	stack := m.stacks[target]
	if len(stack) > 0 {
		switch top := stack[len(stack)-1]; {
		case top.volume != volume:
			return state.InUse
		case top.ro != ro:
			return state.AlreadyExists
		}
		m.exclusive[at{volume, target}] = exclusive || m.exclusive[at{volume, target}]
		return ""
	}
	if fails {
		return state.NotReady
	}
	m.stacks[target] = []layer{{volume, ro}}
	m.exclusive[at{volume, target}] = exclusive
	return ""
}

func (m *model) unpublish(volume, target string) {
	for stack := m.stacks[target]; len(stack) > 0 && stack[len(stack)-1].volume == volume; stack = m.stacks[target] {
		m.stacks[target] = stack[:len(stack)-1]
	}
	if !m.mounted()[at{volume, target}] { // it may be there still, hidden
		delete(m.exclusive, at{volume, target})
	}
}

func (m *model) mounted() map[at]bool {
	all := map[at]bool{}
	for target, stack := range m.stacks {
		for _, l := range stack {
			if l.volume != foreigner {
				all[at{l.volume, target}] = true
			}
		}
	}
	return all
}

// TestModel compares the table with the model over any sequence of publishes,
// unpublishes, deletions, restarts, failures and meddling.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newFake()
		volumes := map[string]*os.File{"a": k.volume("a"), "b": k.volume("b")}
		table, err := Load(map[string]string{"p": "/pool"}, LoadOptions{kernel: k})
		if err != nil {
			t.Fatal(err)
		}
		m := &model{map[string][]layer{}, map[at]bool{}, map[at]bool{}, map[string]func(){}}
		ctx := context.Background()
		volume := rapid.SampledFrom([]string{"a", "b"})
		target := rapid.SampledFrom([]string{"/t/x", "/t/y", "/t/deep/z"})
		yes := rapid.Bool()

		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				v, at, ro, exclusive := volume.Draw(t, "volume"), target.Draw(t, "target"), yes.Draw(t, "ro"), yes.Draw(t, "exclusive")
				fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
				if k.attachErr = nil; fails {
					k.attachErr = fmt.Errorf("move_mount: %w", unix.ENOSPC)
				}
				before := maps.Clone(k.files)
				err := table.Publish(ctx, v, volumes[v], at, Options{ReadOnly: ro}, exclusive)
				if want := m.publish(v, at, ro, exclusive, fails); state.ReasonOf(err) != want {
					t.Fatalf("publish: %v; want %q", err, want)
				}
				if err != nil && !maps.Equal(k.files, before) {
					t.Fatalf("a publish that failed changed %v to %v", before, k.files)
				}
			},
			"unpublish": func(t *rapid.T) {
				v, at := volume.Draw(t, "volume"), target.Draw(t, "target")
				source := volumes[v]
				if yes.Draw(t, "gone") {
					source = nil
				}
				m.unpublish(v, at)
				if err := table.Unpublish(ctx, v, source, at); err != nil {
					t.Fatal(err)
				}
				if len(m.stacks[at]) == 0 && k.files[at] != "" {
					t.Fatalf("%s is still there", at)
				}
			},
			"mount a foreigner": func(t *rapid.T) {
				at := target.Draw(t, "target")
				k.mkdir(at)
				k.foreign(at)
				m.stacks[at] = append(m.stacks[at], layer{volume: foreigner})
			},
			"mount a volume by hand": func(t *rapid.T) {
				v, target := volume.Draw(t, "volume"), target.Draw(t, "target")
				k.mkdir(target)
				k.push(target, fakeMount{minor: 1, root: k.sources[volumes[v]].root, ident: k.sources[volumes[v]].id})
				m.stacks[target] = append(m.stacks[target], layer{volume: v})
				// It is seen once somebody looks: a restart is one way.
				if table, err = Load(map[string]string{"p": "/pool"}, LoadOptions{kernel: k}); err != nil {
					t.Fatal(err)
				}
				clear(m.exclusive)
				clear(m.stale)
				for _, release := range m.retired {
					release()
				}
				clear(m.retired)
			},
			"unmount by hand": func(t *rapid.T) {
				target := target.Draw(t, "target")
				stack := m.stacks[target]
				if len(stack) == 0 {
					t.Skip("nothing there")
				}
				k.pop(target)
				gone := at{stack[len(stack)-1].volume, target}
				m.stacks[target] = stack[:len(stack)-1]
				if !m.mounted()[gone] {
					m.stale[gone] = true
					delete(m.exclusive, gone)
				}
			},
			"retire": func(t *rapid.T) {
				v := volume.Draw(t, "volume")
				release, err := table.Retire(v)
				want := state.Reason("")
				switch {
				case len(m.targetsOf(v)) > 0:
					want = state.InUse
				case m.retired[v] != nil:
					want = state.Busy
				}
				if state.ReasonOf(err) != want {
					t.Fatalf("retire: %v; want %q", err, want)
				}
				if err == nil {
					m.retired[v] = release
				}
			},
			"release": func(t *rapid.T) {
				v := volume.Draw(t, "volume")
				if release := m.retired[v]; release != nil {
					release()
					release()
					delete(m.retired, v)
				}
			},
			"": func(t *rapid.T) {
				want := m.mounted()
				all := table.All()
				if len(all) != table.Len() {
					t.Fatalf("%d publishes, but Len is %d", len(all), table.Len())
				}
				for _, p := range all {
					p := at{p.VolumeID, p.Target}
					if !want[p] && !m.stale[p] {
						t.Fatalf("the table has %v, which is not mounted", p)
					}
					delete(want, p)
				}
				if len(want) > 0 {
					t.Fatalf("the table lacks %v", want)
				}
				for target, stack := range m.stacks {
					for v, source := range volumes {
						is, err := table.IsPublishedAt(v, target, source)
						if want := len(stack) > 0 && stack[len(stack)-1].volume == v; err != nil || is != want {
							t.Fatalf("%s at %s: %v, %v; want %v", v, target, is, err, want)
						}
					}
				}
			},
		})
	})
}

// loaded returns a table for a fake with the volume "a".
func loaded(t *testing.T) (*fake, *Table, *os.File) {
	t.Helper()
	k := newFake()
	a := k.volume("a")
	table, err := Load(map[string]string{"p": "/pool"}, LoadOptions{kernel: k})
	if err != nil {
		t.Fatal(err)
	}
	return k, table, a
}

func wantReason(t *testing.T, err error, want state.Reason) {
	t.Helper()
	if state.ReasonOf(err) != want {
		t.Errorf("%v; want the reason %q", err, want)
	}
}

func TestReadOnlyFilesystem(t *testing.T) {
	ctx := context.Background()
	k, table, a := loaded(t)
	wantReason(t, table.Publish(ctx, "a", a, "/t/rw", Options{}, false), "")
	wantReason(t, table.Publish(ctx, "a", a, "/t/ro", Options{ReadOnly: true}, false), "")
	k.readOnly = true
	wantReason(t, table.Publish(ctx, "a", a, "/t/rw", Options{}, false), "")
	wantReason(t, table.Publish(ctx, "a", a, "/t/ro", Options{ReadOnly: true}, false), "")
	wantReason(t, table.Publish(ctx, "a", a, "/t/rw", Options{ReadOnly: true}, false), state.AlreadyExists)
	wantReason(t, table.Publish(ctx, "a", a, "/t/ro", Options{}, false), state.AlreadyExists)
	wantReason(t, table.Publish(ctx, "a", a, "/t/new", Options{}, false), state.NotReady)
	wantReason(t, table.Publish(ctx, "a", a, "/t/new", Options{ReadOnly: true}, false), "")
}

// A filesystem that has shut down tells nothing about its files; what is mounted
// of it must go nevertheless.
func TestUnpublishFromFailedFilesystem(t *testing.T) {
	ctx := context.Background()
	k, table, a := loaded(t)
	wantReason(t, table.Publish(ctx, "a", a, "/t/x", Options{}, false), "")
	k.lookErr = fmt.Errorf("statx: %w", unix.EIO)
	k.foreign("/t/y")
	wantReason(t, table.Unpublish(ctx, "a", nil, "/t/y"), "")
	_, err := table.IsPublishedAt("a", "/t/x", a)
	wantReason(t, err, state.NotReady)
	wantReason(t, table.Unpublish(ctx, "a", nil, "/t/x"), "")
	if len(k.stacks["/t/x"]) != 0 || len(k.stacks["/t/y"]) != 1 || table.Len() != 0 {
		t.Errorf("mounted are %v, the table has %v", k.stacks, table.All())
	}
}

func TestUnsuitableSource(t *testing.T) {
	k, table, _ := loaded(t)
	file := new(os.File)
	k.sources[file] = fakeSource{source: source{id: identity{1, 9}}}
	wantReason(t, table.Publish(context.Background(), "a", file, "/t/x", Options{}, false), state.Unsupported)
	if len(k.files) != 1 {
		t.Errorf("it left %v", k.files)
	}
}

func TestSteadyStateParsesNoList(t *testing.T) {
	ctx := context.Background()
	k, table, a := loaded(t)
	for range 3 {
		for _, target := range []string{"/t/x", "/t/y"} {
			wantReason(t, table.Publish(ctx, "a", a, target, Options{}, false), "")
		}
		wantReason(t, table.Publish(ctx, "a", a, "/t/z", Options{}, true), state.InUse)
		if _, err := table.IsPublishedAt("a", "/t/x", a); err != nil {
			t.Error(err)
		}
		_, err := table.Retire("a")
		wantReason(t, err, state.InUse)
		for _, target := range []string{"/t/x", "/t/y", "/t/z"} {
			wantReason(t, table.Unpublish(ctx, "a", a, target), "")
		}
	}
	if k.parses != 1 {
		t.Errorf("the list of mounts was read %d times; want once, at start", k.parses)
	}
}

func TestWaitsAsLongAsTheContext(t *testing.T) {
	_, table, a := loaded(t)
	for _, hold := range []struct {
		locks *keyLock
		key   string
	}{{&table.volumes, "a"}, {&table.targets, "/t/x"}} {
		release, _ := hold.locks.try(hold.key)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- table.Publish(ctx, "a", a, "/t/x", Options{}, false) }()
		cancel()
		err := <-done
		wantReason(t, err, state.Busy)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v; want it to wrap Canceled", err)
		}
		if hold.locks == &table.volumes {
			_, err = table.Retire("a")
			wantReason(t, err, state.Busy)
		}
		go func() { done <- table.Publish(context.Background(), "a", a, "/t/x", Options{}, false) }()
		release()
		wantReason(t, <-done, "")
		wantReason(t, table.Unpublish(context.Background(), "a", a, "/t/x"), "")
	}
}

func TestKernelVerdict(t *testing.T) {
	wantReason(t, kernelVerdict(nil, "6.1"), "")
	wantReason(t, kernelVerdict(unix.EBADF, "6.1"), "")
	for _, errno := range []error{unix.ENOSYS, unix.EPERM} {
		wantReason(t, kernelVerdict(errno, "5.10"), state.Unsupported)
	}
	if err := CheckKernel(); err != nil {
		t.Error(err)
	}
}
