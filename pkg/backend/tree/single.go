package tree

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// CopyFile gives the empty regular file dst the contents of the regular file src, with
// its holes and its size, and nothing else of it. src may be open as a place only
// (O_PATH); dst is open for writing. Of Options, Reflink and Progress are heeded: to make
// the one file durable is for the caller. Where blocks are shared, all of it is of one
// instant; a copy that takes time may be called off. Errors are as for Copy.
func CopyFile(ctx context.Context, src, dst *os.File, o Options) (Result, error) {
	c := &copier{o: o, stop: make(chan struct{})}
	c.queue.init() // fail closes it
	err := c.runSingle(ctx, src, dst)
	return c.counters.result(), err
}

func (c *copier) runSingle(ctx context.Context, src, dst *os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if c.proc, err = openProc(); err != nil {
		return err
	}
	defer unix.Close(c.proc)
	unwatch := context.AfterFunc(ctx, func() { c.fail(fmt.Errorf("copying %s: %w", src.Name(), ctx.Err())) })
	defer unwatch()

	e := entry{dir: &dir{}, name: src.Name(), place: int(src.Fd())}
	if err := stat(e.place, &e.st); err != nil {
		return state.Errorf(reason(err), "copying %s: stat: %w", src.Name(), err)
	}
	if e.kind() != unix.S_IFREG {
		return state.Errorf(state.Defect, "copying %s: it is no regular file", src.Name())
	}
	from, err := c.openFile(e.place)
	if err != nil {
		return state.Errorf(reason(err), "copying %s: open: %w", src.Name(), err)
	}
	defer unix.Close(from)
	w := worker{copier: c}
	err = w.contents(&e, from, int(dst.Fd()))
	if c.stopped() {
		<-c.stop
		return c.err
	}
	if err != nil {
		return err
	}
	w.count(0, 1)
	c.counters.tellLast(c.o.Progress)
	return nil
}
