package projectquota

// Allowance is what a volume's limit has beyond its size, in bytes. A limit counts what
// the filesystem needs for itself: blocks of directories, attributes and extent maps.
// The user was promised bytes of files.
//
//	1 MiB + 1/64 of the size
//
// The fixed part is for what does not depend on the size: the volume's own directory
// and record (8 KiB), and the blocks that XFS wants to have at hand while it makes a
// file, though it seldom takes them (192 KiB, more in kernels with parent pointers). The other part is for what grows
// with the data. In parts of the data's blocks, of 4 KiB each, those are:
//
//	extent map, every block an extent      1/340 on ext4, 1/250 to 1/125 on XFS
//	directory entries of 4 KiB files       1/93 (names of 20 bytes, blocks 70% full)
//
// so that 1/64 holds either of them whole; in most volumes it is more than is needed,
// and can then be filled with data, too. A file's last block counts as a whole one, as
// everywhere.
func Allowance(size int64) int64 { return 1<<20 + size/64 }

// inodes is how many inodes a volume of that size may have; 0: no limit.
func (b *Backend) inodes(size int64) int64 {
	if b.o.BytesPerInode == 0 {
		return 0
	}
	return 1 + size/b.o.BytesPerInode // 1: the volume's own directory
}
