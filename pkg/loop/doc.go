// Package loop makes files block devices: the loop devices behind block volumes, and
// behind pools in image files. It runs no program; everything is done by ioctls on descriptors.
//
// # The life of an attachment
//
//	Attach   a free device is asked for and given the file, in one step
//	         (LOOP_CONFIGURE); where somebody else was faster to take it, another
//	         one is asked for
//	Keep     the device outlives its last opener, and this process
//	Grow     the device has the size that the file has by now
//	Detach   the device gives the file up, at once or when its last opener closes it
//
// # Whose device it is
//
// The kernel is the record: nothing is written down. An attachment is found by the
// file that it has, by device and inode number, which no other file has as long as it
// is attached, even once it was removed. The file's name, which the kernel keeps in step
// with renames, serves only to choose which devices to look at: devices of other
// programs are never opened, since even that would delay what these do with them.
//
// An Attachment holds its device open. Meanwhile nobody can give the device another
// file: LOOP_CLR_FD, whoever calls it, then takes effect at the last close. So what was
// checked is what is acted upon.
//
// # Concurrency
//
// All functions may be called at any time, by several processes too, but two Attach of
// one file at a time would give it two devices: callers see to it that there is one.
//
// # Errors
//
// They carry a state.Reason: Invalid (the file cannot be a device), InUse (processes
// keep the device open), NotReady (no device is to be had now), Unsupported (the kernel,
// the privileges, or the /dev of this process are not enough), Defect.
//
// Linux 5.8 is required, for LOOP_CONFIGURE.
package loop
