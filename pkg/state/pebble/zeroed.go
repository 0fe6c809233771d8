package pebble

import "github.com/cockroachdb/pebble/v2/vfs"

// zeroStep is how many bytes of a log are made ready at a time: about a thousand
// commits' worth.
const zeroStep = 1 << 20

var zeros [zeroStep]byte

// zeroed is a log that is written from its beginning over blocks that have been
// written before. A commit then changes nothing but the data of one block, whereas
// the fsync of a file that grows, or of blocks that are merely reserved, has the
// filesystem commit its own journal, too: on ext4 that is three times the wait.
//
// What is behind the end of the log is zero, or from an earlier log whose file is
// used again; readers take either for the end.
type zeroed struct {
	vfs.File
	written, ready int64
}

func newZeroed(file vfs.File) *zeroed {
	z := &zeroed{File: file}
	if st, err := file.Stat(); err == nil {
		z.ready = st.Size()
	}
	return z
}

func (z *zeroed) Write(p []byte) (int, error) {
	for end := z.written + int64(len(p)); z.ready < end; z.ready += zeroStep {
		if _, err := z.WriteAt(zeros[:], z.ready); err != nil {
			// It was for speed; whether there is room, the write itself tells.
			z.ready = end + zeroStep
			break
		}
	}
	n, err := z.File.Write(p)
	z.written += int64(n)
	return n, err
}
