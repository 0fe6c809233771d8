package pebble

import (
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// reserve is the room on the disk that is kept for changes of the records there
// are. A log that cannot be written ends the process, so new records are refused
// before that; the reserve is four memtables with their logs.
const reserve = 32 << 20

// openReserve is the room that opening the store may take: what is in the log is
// moved into a table. Pebble ends the process if there is none.
const openReserve = 4 << 20

// disk is what the filesystem below the state directory says of itself.
type disk struct {
	available uint64 // bytes
	readOnly  bool
}

func statDisk(dir string) (disk, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return disk{}, err
	}
	return disk{available: fs.Bavail * uint64(fs.Bsize), readOnly: fs.Flags&unix.ST_RDONLY != 0}, nil
}

// checkDisk returns an error if the disk should take no new records.
func (s *Store) checkDisk() error { return s.options.checkDisk(s.dir, reserve) }

// checkDisk returns an error if the disk cannot be written to or has less room.
func (o Options) checkDisk(dir string, room uint64) error {
	disk, err := o.disk(dir)
	switch {
	case err != nil:
		return state.Errorf(state.Unavailable, "asking for the room on the disk of the state directory %s: %w", dir, err)
	case disk.readOnly:
		return state.Errorf(state.Unavailable, "the filesystem of the state directory %s is read-only", dir)
	case disk.available < room:
		return state.Errorf(state.Unavailable, "the filesystem of the state directory %s has %d bytes left; the state needs %d",
			dir, disk.available, room)
	}
	return nil
}
