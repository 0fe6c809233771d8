// Package mount publishes volumes at target paths: the mounts behind CSI's
// NodePublishVolume and NodeUnpublishVolume. It runs no program; everything is
// done by system calls on file descriptors, so that what was checked is what is
// acted upon.
//
// # The life of a publish
//
//	Publish    the target's parents are walked from "/", one held directory after
//	           the other, following no symbolic link; what is missing is made. The
//	           target must be an empty directory. The volume's directory is cloned
//	           into a mount that nobody sees yet, the mount flags are set on it,
//	           and only then is it moved onto the target: there is no instant at
//	           which a read-only volume can be written through its target.
//	(answer)
//	...
//	Unpublish  while the topmost mount at the target is the volume's, it is
//	           unmounted, never lazily; then the target is removed if it is an
//	           empty directory. Parents stay: they are the caller's.
//	(answer)
//
// A crash before the mount leaves an empty directory, which the next Publish uses
// and the next Unpublish removes. A crash after it leaves a mount that the next
// Publish of the same finds and agrees with.
//
// # The kernel is the record
//
// Nothing of this is written down. Load reads the kernel's list of mounts once, at
// start, and finds the publishes in it: mounts whose root is POOL/volumes/ID, for a
// pool known by its filesystem and its path in there. From then on the Table keeps
// step. It is a hint where to look, not the truth: whatever depends on a volume
// being published elsewhere (exclusive access, deletion) asks the kernel about each
// target the table names, in constant time, and reads the whole list again only
// where the two differ, as after someone unmounted by hand.
//
// A mount is the volume's if its root is the volume's directory: same device, same
// inode. A mounted directory keeps its inode number even when it was removed, so
// this cannot be confused with another volume.
//
// Each publish is made private before it is seen: mounts made inside a volume do
// not travel between its targets and its pool. A target beneath a shared mount
// is, as a whole, propagated as that mount demands (a node plugin's container
// needs "Bidirectional" on the kubelet's directory).
//
// # What CSI asks (NodePublishVolume, NodeUnpublishVolume)
//
// Both are idempotent. A publish that is there already, with the flags that were
// asked for, is a success; with others it is AlreadyExists. A flag that is not
// asked for is as the pool's own mount has it, so that a pool mounted nosuid gives
// nosuid volumes; the default (exec, suid, dev, relatime) is accepted as well, so
// that a pool whose flags are tightened later does not spoil the publishes there are.
// Whether a publish is read-only is always compared.
//
// The target path is the caller's, but its contents may be a pod's: a symbolic
// link anywhere in it, a file or a device is refused, a directory with something in
// it is never hidden, emptied or removed, a foreign mount is never touched.
//
// # Errors
//
// They carry a state.Reason:
//
//	Invalid        the target path or a flag is wrong, or a symbolic link or
//	               something that is no directory is in the target's place
//	AlreadyExists  the volume is published at this target otherwise
//	InUse          the volume is published elsewhere and one of the two wants it
//	               for itself; the target holds something; processes keep an
//	               unmount from happening; a volume to be retired is published
//	Busy           the volume or target is being worked on, or is being deleted
//	NotReady       the node cannot do it now: no room, a read-only filesystem
//	Unsupported    the kernel, or the process's privileges, are not enough
//	Defect         the kernel failed in a way that nobody foresaw
//
// # Concurrency
//
// All methods may be called at any time. Work on one volume, and on one target, is
// done by one call at a time, the others wait as long as their context allows; no
// lock is held by two calls that have neither in common. Nothing protects against
// another program that mounts on the same target at the same instant: the kernel
// offers no "mount unless mounted".
//
// Linux 5.12 is required: see CheckKernel.
package mount
