package loop

import (
	"os"

	"golang.org/x/sys/unix"
)

// wideSectorBytes is the size of a sector where the filesystem wants direct I/O to be
// aligned to its blocks, and an image is a multiple of it.
const wideSectorBytes = 4096

// sectorBytes is what a device's sectors shall have; 0: as the kernel chooses. It chooses
// by the alignment that direct I/O to the file takes, which on XFS becomes that of blocks
// once the file shares any: with a snapshot, a device would have other sectors than when
// its filesystem was made, which might not be mounted any more. So there it has the
// larger ones from the beginning, and so have its copies.
func sectorBytes(f *os.File, size int64) uint32 {
	var st unix.Statfs_t
	if size%wideSectorBytes != 0 || unix.Fstatfs(int(f.Fd()), &st) != nil || st.Type != unix.XFS_SUPER_MAGIC {
		return 0
	}
	return wideSectorBytes
}
