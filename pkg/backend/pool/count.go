package pool

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Count is what a volume takes on the disk.
type Count struct {
	// Bytes counts allocated blocks, Inodes all inodes with the volume's root
	// directory; a file with several links counts once.
	Bytes, Inodes int64
	// Complete is false if the count ended before it had seen everything.
	Complete bool
}

// Count walks the volume's tree and counts it, up to limit inodes (0: all). What
// changes meanwhile may be counted or not. Directories deeper than
// maxCountDepth are left out, other mounts and symbolic links not entered.
func (p *Pool) Count(ctx context.Context, v state.Volume, limit int64) (Count, error) {
	f, err := p.open(p.volume(v), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return Count{}, err
	}
	w := counter{ctx: ctx, limit: limit}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		_ = f.Close()
		return Count{}, fmt.Errorf("counting volume %s: %w", v.ID, err)
	}
	w.add(&st)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		_ = f.Close()
		w.Complete = true
		return w.Count, nil
	}
	switch err := w.dir(f, 0); {
	case errors.Is(err, errLimit):
	case err != nil:
		return Count{}, fmt.Errorf("counting volume %s: %w", v.ID, err)
	default:
		w.Complete = true
	}
	return w.Count, nil
}

const maxCountDepth = 512

var errLimit = errors.New("counted as many as were asked for")

type inode struct{ dev, ino uint64 }

type counter struct {
	Count
	ctx    context.Context
	limit  int64
	linked map[inode]struct{} // files with several links that were counted
}

func (w *counter) add(st *unix.Stat_t) {
	if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		key := inode{st.Dev, st.Ino}
		if _, seen := w.linked[key]; seen {
			return
		}
		if w.linked == nil {
			w.linked = map[inode]struct{}{}
		}
		w.linked[key] = struct{}{}
	}
	w.Bytes += st.Blocks * 512
	w.Inodes++
}

// dir counts what is in d and closes it.
func (w *counter) dir(d *os.File, depth int) error {
	defer d.Close()
	fd := int(d.Fd())
	for {
		names, _ := d.Readdirnames(256)
		if len(names) == 0 {
			return nil
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		for _, name := range names {
			if w.limit > 0 && w.Inodes >= w.limit {
				return errLimit
			}
			var st unix.Stat_t
			if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue // removed meanwhile
			}
			w.add(&st)
			if st.Mode&unix.S_IFMT != unix.S_IFDIR || depth == maxCountDepth {
				continue
			}
			sub, err := openDirAt(fd, name)
			if err != nil {
				continue // removed or replaced meanwhile, or another mount
			}
			if err := w.dir(os.NewFile(uintptr(sub), name), depth+1); err != nil {
				return err
			}
		}
	}
}
