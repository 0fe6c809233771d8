package tree

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Inode flags that a user sets (linux/fs.h, FS_*_FL; see chattr(1)). All others tell
// how the filesystem stores the inode, and are its own.
const (
	flagCompress   = 0x00000004
	flagSync       = 0x00000008
	flagImmutable  = 0x00000010
	flagAppend     = 0x00000020
	flagNoDump     = 0x00000040
	flagNoAtime    = 0x00000080
	flagNoCompress = 0x00000400
	flagDirSync    = 0x00010000
	flagNoCow      = 0x00800000

	// storage: said of an empty file, before its contents.
	storage = flagCompress | flagNoCompress | flagNoCow
	// fixed: nothing can be changed after these.
	fixed = flagImmutable | flagAppend
	kept  = storage | fixed | flagSync | flagNoDump | flagNoAtime | flagDirSync
)

// features is what was found not to work here, so as not to try it for each file.
type features struct {
	noNoatime, noFlags, noClone, noCopyRange atomic.Bool
}

// flagsOf returns the flags to keep of a file or directory of the source.
func (c *copier) flagsOf(fd int) int {
	if c.features.noFlags.Load() {
		return 0
	}
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil { // ENOTTY, EOPNOTSUPP: there are none on this filesystem
		c.features.noFlags.Store(true)
		return 0
	}
	return flags & kept
}

// setFlags adds flags, as far as the destination's filesystem knows them and the
// process may: they are advice, or for people to set again.
func setFlags(fd, flags int) {
	if flags == 0 {
		return
	}
	now, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || now|flags == now {
		return
	}
	if unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, now|flags) == nil {
		return
	}
	for bit := 1; bit <= flags; bit <<= 1 { // an unknown one fails them all
		if flags&bit != 0 && unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, now|bit) == nil {
			now |= bit
		}
	}
}
