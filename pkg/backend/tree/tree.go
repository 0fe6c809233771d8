package tree

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Reflink says whether files share their blocks with what they were copied from.
type Reflink int

// The ways to copy a file's contents.
const (
	// Auto shares blocks where the filesystem can, and copies where it cannot.
	Auto Reflink = iota
	// Never copies every byte.
	Never
	// Always fails with Unsupported where a file's blocks cannot be shared.
	Always
)

// Options say how to copy. The zero value will do.
type Options struct {
	Reflink Reflink
	// Parallel is the number of files in work at a time; 0: chosen by the number
	// of processors. It is bounded, and so are descriptors and memory.
	Parallel int
	// Sync makes the copy durable before Copy returns: see type durability.
	Sync bool
	// SkipXattrs names attributes of the root that are neither copied nor
	// removed.
	SkipXattrs []string
	// Progress, if not nil, is told from time to time what was done so far, and
	// once at the end of a copy that succeeds. It is not called concurrently, and
	// holds up the copying while it runs.
	Progress func(done Stats)
}

// Stats counts what was copied.
type Stats struct {
	// Bytes are those of files' contents, shared or copied; holes are left out.
	Bytes int64
	// Inodes counts the root too; a file with several names counts once.
	Inodes int64
}

// Result tells what Copy did.
type Result struct {
	Stats
	// Cloned counts the files that share their blocks with the source's.
	Cloned int64
	// Vanished counts entries that were listed, and gone or moved when their turn
	// came; or replaced by something that could not be taken instead.
	Vanished int64
	// Mounts counts directories left out because something is mounted there.
	Mounts int64
}

const (
	maxParallel = 64
	// autoParallel bounds what is chosen by the number of processors: beyond, the
	// disk and the locks of its filesystem set the pace.
	autoParallel = 32
)

func (o Options) workers() int {
	if o.Parallel > 0 {
		return min(o.Parallel, maxParallel)
	}
	return min(2*runtime.GOMAXPROCS(0), autoParallel)
}

// Copy makes the empty directory dst an exact copy of the directory src. Neither
// descriptor's offset is touched. Errors carry a state.Reason: NoSpace for a full
// filesystem or a quota, Unsupported for what dst's filesystem cannot hold, Busy
// for a file that another process holds a lease on, Unavailable when the process is
// short of descriptors or memory, Defect for the rest; those of a context are
// found by errors.Is. What was counted is returned with an error, too.
func Copy(ctx context.Context, src, dst *os.File, o Options) (Result, error) {
	c := &copier{o: o, stop: make(chan struct{}), durability: durability{wanted: o.Sync}}
	err := c.run(ctx, src, dst)
	return c.counters.result(), err
}

// copier is one call of Copy.
type copier struct {
	o    Options
	proc int // /proc/self/fd
	root *dir

	queue      queue
	dirs       handles
	links      links
	features   features
	durability durability
	counters   counters
	leases     leases

	stopOnce sync.Once
	stop     chan struct{} // closed by fail
	err      error         // why; set before stop is closed
}

func (c *copier) run(ctx context.Context, src, dst *os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if c.proc, err = openProc(); err != nil {
		return err
	}
	defer unix.Close(c.proc)

	c.queue.init()
	c.dirs.init()
	defer c.dirs.closeAll()
	if err := c.openRoot(src, dst); err != nil {
		return err
	}

	watched := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(watched)
		c.fail(fmt.Errorf("copying a directory: %w", ctx.Err()))
	})
	defer func() {
		if !unwatch() {
			<-watched
		}
	}()
	c.queue.push(task{dir: c.root})
	var workers sync.WaitGroup
	for range c.o.workers() {
		workers.Go(func() { (&worker{copier: c}).run() })
	}
	workers.Wait()
	if c.stopped() {
		<-c.stop
		return c.err
	}
	if err := c.links.applyFlags(c); err != nil {
		return err
	}
	if err := c.durability.finish(c.root.handles[destination].fd); err != nil {
		return c.failed(c.root, "", "sync", err)
	}
	c.counters.tellLast(c.o.Progress)
	return nil
}

// openRoot opens what the caller opened anew: offsets belong to descriptions, and
// those of the caller are his.
func (c *copier) openRoot(src, dst *os.File) error {
	c.root = &dir{}
	c.root.pending.Store(1)
	for side, f := range [sides]*os.File{source: src, destination: dst} {
		fd, err := c.openDir(int(f.Fd()), ".")
		if err != nil {
			return c.failed(c.root, "", "open", err)
		}
		c.dirs.publish(c.root, side, fd) // held until the end
		var st unix.Statx_t
		if err := stat(fd, &st); err != nil {
			return c.failed(c.root, "", "stat", err)
		}
		c.root.id[side] = identify(&st)
	}
	if c.root.id[source] == c.root.id[destination] {
		return c.failed(c.root, "", "open", errWithin)
	}
	fd := c.root.handles[destination].fd
	buf := make([]byte, 4<<10)
	n, err := readDirent(fd, buf)
	if err != nil {
		return c.failed(c.root, "", "read", err)
	}
	if _, _, names := unix.ParseDirent(buf[:n], -1, nil); len(names) > 0 {
		return state.Errorf(state.Defect, "copying a directory: the destination is not empty: it holds %s", state.Quote(names[0]))
	}
	return nil
}

// fail ends the copy; the first call's error is returned by Copy.
func (c *copier) fail(err error) {
	c.stopOnce.Do(func() {
		c.err = err
		close(c.stop)
		c.queue.close()
	})
}

func (c *copier) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}
