package tree

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	// stride is how much the kernel is asked to copy at a time: a fraction of a
	// second, for a cancelled copy to end.
	stride = 8 << 20
	// bufferSize is that of a worker's own copying.
	bufferSize = 256 << 10
	// grain is the least that is taken as data where the source says so.
	grain = 4 << 10
)

// contents copies a file's contents: by sharing its blocks, by asking the kernel to
// copy, or by reading and writing.
func (w *worker) contents(e *entry, src, dst int) error {
	if e.st.Size == 0 {
		return nil
	}
	if w.o.Reflink != Never {
		shared, err := w.clone(src, dst)
		if err != nil {
			return w.failed(e.dir, e.name, "clone", err)
		}
		if shared {
			w.counters.cloned.Add(1)
			w.count(int64(min(e.st.Size, e.st.Blocks*512)), 0)
			return nil
		}
	}
	if err := w.copyContents(src, dst, int64(e.st.Size), e.st.Blocks*512 < e.st.Size); err != nil {
		return w.failed(e.dir, e.name, "copy", err)
	}
	return nil
}

// clone makes dst share all blocks of src, or none.
func (w *worker) clone(src, dst int) (bool, error) {
	if w.features.noClone.Load() {
		return false, nil
	}
	err := retry(func() error { return unix.IoctlFileClone(dst, src) })
	switch err {
	case nil:
		return true, nil
	case unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSYS, unix.EXDEV:
		// Not on this filesystem, or not between these two.
		if w.o.Reflink != Always {
			w.features.noClone.Store(true)
			return false, nil
		}
	case unix.EINVAL, unix.ETXTBSY, unix.EPERM:
		// Not this file: its blocks are stored otherwise, or it is swapped to.
		if w.o.Reflink != Always {
			return false, nil
		}
	default:
		return false, err
	}
	return false, state.Errorf(state.Unsupported, "sharing blocks: %w", err)
}

// copyContents copies size bytes; if sparse, only those that are not in holes. A
// file that got shorter meanwhile ends where it ends.
func (w *worker) copyContents(src, dst int, size int64, sparse bool) error {
	var end int64 // of what was written
	for at := int64(0); at < size; {
		data, hole := at, size
		if sparse {
			var err error
			if data, hole, err = nextData(src, at, size); err != nil {
				return err
			}
			if data == hole {
				break
			}
		}
		n, err := w.copyRange(src, dst, data, hole)
		if err != nil {
			return err
		}
		if n > 0 {
			end = data + n
		}
		if n < hole-data {
			break
		}
		at = hole
	}
	if end == size {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	return retry(func() error { return unix.Ftruncate(dst, max(end, min(size, st.Size))) })
}

// nextData finds the next data at or after at: [data, hole), or data == hole if there
// is none before size.
func nextData(fd int, at, size int64) (data, hole int64, err error) {
	data, err = unix.Seek(fd, at, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO || err == nil && data >= size:
		return size, size, nil
	case err == unix.EINVAL || err == unix.EOPNOTSUPP: // this filesystem does not tell
		return at, size, nil
	case err != nil:
		return 0, 0, err
	}
	hole, err = unix.Seek(fd, data, unix.SEEK_HOLE)
	if err == unix.ENXIO { // truncated in between
		return size, size, nil
	}
	// Who punches and fills a hole between the two calls again and again would
	// keep this from getting on.
	return data, min(max(hole, data+grain), size), err
}

// copyRange copies [at, end) and returns how much there was.
func (w *worker) copyRange(src, dst int, at, end int64) (done int64, err error) {
	ask := w.o.Reflink != Never // the kernel may share blocks where it is asked to copy
	for done < end-at {
		if w.stopped() {
			return done, errStopped
		}
		n := 0
		if ask = ask && !w.features.noCopyRange.Load(); ask {
			n, err = w.kernelCopy(src, dst, at+done, int(min(end-at-done, stride)))
			if err != nil {
				return done, err
			}
			// None copied: refused, or the end of the file. Reading tells.
			ask = n > 0
		}
		if n == 0 {
			n, err = w.readWrite(src, dst, at+done, int(min(end-at-done, bufferSize)))
			if err != nil {
				return done, err
			}
		}
		if n == 0 {
			return done, nil
		}
		done += int64(n)
		w.count(int64(n), 0)
	}
	return done, nil
}

// kernelCopy returns 0 if the kernel does not copy this.
func (w *worker) kernelCopy(src, dst int, at int64, size int) (n int, err error) {
	err = retry(func() (err error) {
		from, to := at, at
		n, err = unix.CopyFileRange(src, &from, dst, &to, size, 0)
		return err
	})
	switch {
	case err == nil:
		return n, nil
	case err == unix.EXDEV, err == unix.EOPNOTSUPP, err == unix.ENOSYS:
		w.features.noCopyRange.Store(true)
		return 0, nil
	case err == unix.EINVAL, err == unix.ETXTBSY, err == unix.EPERM:
		return 0, nil
	}
	return 0, err
}

// readWrite returns 0 at the end of the file.
func (w *worker) readWrite(src, dst int, at int64, size int) (n int, err error) {
	buf := buffer(&w.data, bufferSize)[:size]
	err = retry(func() error {
		n, err = unix.Pread(src, buf, at)
		return err
	})
	if err != nil {
		return 0, err
	}
	for written := 0; written < n; {
		var m int
		err := retry(func() (err error) {
			m, err = unix.Pwrite(dst, buf[written:n], at+int64(written))
			return err
		})
		if err == nil && m == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
		written += m
	}
	return n, nil
}
