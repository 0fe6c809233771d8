package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// raisedWhileEmptied begins the names of directories that lay too deep, as far as they
// have been raised to the root of a volume that is being emptied.
const raisedWhileEmptied = ".hostpath-csi-emptying"

// EmptyDirectory removes all that is in a volume's directory as Purge does, in place: the
// directory stays, and with it its limit and its record. reset then gives it the owner and
// the mode that it began with. All is durable when it returns.
func (p *Pool) EmptyDirectory(ctx context.Context, v state.Volume, reset func(d *os.File) error) error {
	d, err := p.OpenDirectory(v)
	if err != nil {
		return err
	}
	defer d.Close()
	clearFlags(int(d.Fd()))
	if v.Spec.OnDelete == state.OnDeleteScrub {
		s := scrub{ctx: ctx, zeros: make([]byte, scrubChunk), progress: func(int) {}}
		if err := s.dir(int(d.Fd()), ".", 0); err != nil {
			return full(fmt.Errorf("overwriting volume %s: %w", v.ID, err))
		}
	}
	if err := removeContents(ctx, d); err != nil {
		return full(fmt.Errorf("emptying volume %s: %w", v.ID, err))
	}
	if err := forgetAttributes(d); err != nil {
		return full(fmt.Errorf("emptying volume %s: %w", v.ID, err))
	}
	if err := reset(d); err != nil {
		return full(err)
	}
	if err := d.Sync(); err != nil {
		return full(fmt.Errorf("syncing volume %s: %w", v.ID, err))
	}
	return nil
}

// removeContents removes all that a directory holds.
func removeContents(ctx context.Context, d *os.File) error {
	fd := int(d.Fd())
	r := purge{ctx: ctx, trash: fd, name: raisedWhileEmptied, progress: func(int) {}}
	for {
		before := r.total()
		if err := r.removeEntries(d, -1); err != nil {
			return err
		}
		for len(r.todo) > 0 {
			next := r.todo[len(r.todo)-1]
			r.todo = r.todo[:len(r.todo)-1]
			if err := r.remove(fd, next, 0); err != nil {
				return err
			}
		}
		// Some filesystems skip entries while others are removed: look again.
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if r.total() == before {
			break
		}
	}
	left, err := d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%q is still in it: %w", left[0], unix.ENOTEMPTY)
}

// forgetAttributes removes the extended attributes that a pod can have given to the
// volume's directory: its own, and access control lists, which would be inherited.
func forgetAttributes(d *os.File) error {
	names, err := attributesOf(int(d.Fd()))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "system.posix_acl_") {
			continue
		}
		if err := unix.Fremovexattr(int(d.Fd()), name); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("removing the attribute %q: %w", name, err)
		}
	}
	return nil
}

func attributesOf(fd int) ([]string, error) {
	b := make([]byte, 64<<10) // the kernel's limit for a list
	n, err := unix.Flistxattr(fd, b)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing attributes: %w", err)
	}
	return strings.FieldsFunc(string(b[:n]), func(r rune) bool { return r == 0 }), nil
}

// EmptyImage makes a block volume all zeros, durably. It keeps its size; a thick one has
// its blocks, a thin one has none.
func (p *Pool) EmptyImage(ctx context.Context, v state.Volume) error {
	f, err := p.open(p.volume(v), unix.O_RDWR|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if v.Spec.OnDelete == state.OnDeleteScrub {
		s := scrub{ctx: ctx, zeros: make([]byte, scrubChunk)}
		if err := s.overwrite(f); err != nil {
			return full(fmt.Errorf("overwriting volume %s: %w", v.ID, err))
		}
	}
	if err := clearBlocks(int(f.Fd()), st.Size(), v.Spec.Provisioning != state.Thin); err != nil {
		return full(fmt.Errorf("emptying volume %s: %w", v.ID, err))
	}
	if err := f.Sync(); err != nil {
		return full(fmt.Errorf("syncing volume %s: %w", v.ID, err))
	}
	return nil
}

// clearBlocks makes so many bytes of a file read as zeros.
func clearBlocks(fd int, bytes int64, allocated bool) error {
	if allocated {
		// Keeps the blocks it has, so that nobody else gets them meanwhile.
		err := fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, bytes)
		if !errors.Is(err, unix.EOPNOTSUPP) { // as on tmpfs
			return err
		}
	}
	if err := fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, bytes); err != nil {
		return err
	}
	if allocated {
		return fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, bytes)
	}
	return nil
}

func fallocate(fd int, mode uint32, bytes int64) error {
	for {
		if err := unix.Fallocate(fd, mode, 0, bytes); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
