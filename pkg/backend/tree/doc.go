// Package tree copies directories exactly, out of sources that nobody can trust.
//
// Copy makes an empty directory an exact copy of another one, on the same or on
// another filesystem. It is how a backend makes snapshots, restores and clones of
// volumes that are directories, file by file, where the filesystem has no snapshot
// of its own.
//
// # What is the same afterwards
//
// Contents with their holes and exact size; hard links within the tree; symbolic
// links, which are copied and never followed; pipes, sockets and devices; names of
// any bytes; owners, modes with their set-ID bits, access and modification times
// to the nanosecond (of directories and symbolic links too); extended attributes
// of all namespaces, so capabilities and POSIX ACLs; and, where the destination's
// filesystem knows them and the process may set them, the inode flags that a user
// sets (immutable, append-only, no copy-on-write, ...). The root of the tree is
// treated as every other directory, but for the attributes named in
// Options.SkipXattrs and for the flags that would forbid to rename it.
//
// Not kept are what the filesystem gives by itself (inode numbers, change and
// birth times), blocks reserved beyond what was written, and project IDs: those
// are the destination's own. A security label that the destination refuses
// (SELinux, IMA, EVM) is left out, for it belongs to the machine and not to the
// data.
//
// Where the filesystem shares blocks (FICLONE), files do: Options.Reflink.
//
// # What the source may do meanwhile
//
// Anything. The pods that own the volume go on running, and one of them may want
// the copier, which is root, to read or write what the pod may not:
//
//   - Everything is opened relative to an open directory, one name at a time, by
//     openat2, which refuses symbolic links, other mounts and ways out.
//   - A name is first opened as a place only (O_PATH), which has no effect on what
//     it names. What is found there decides; if that is a regular file, that very
//     inode is opened for reading. Pipes and devices are never opened.
//   - The destination's entries are made anew (O_EXCL); nothing is written through
//     what was there before.
//
// What comes and goes while the copy is made is in it or not; what was listed and
// is gone when its turn comes is left out, and counted in Result.Vanished. A file
// that is written to meanwhile is copied as if each of its parts was read at some
// time (all at one instant where blocks are shared); it ends at the size that it
// had when its turn came. So the copy is of one instant per file at best: see
// backend.Features.AtomicSnapshots. A source that grows as fast as it is copied
// is ended by the destination's limit, or by the context.
//
// Directories of other mounts are not entered, and not made: Result.Mounts.
//
// # What it takes
//
// Descriptors: a few hundred, however deep or wide the tree is. Directories
// beyond that are closed and found again by their names; one that was moved away
// in the meantime counts as vanished. Memory: some hundred bytes for each level
// of depth and for each file with several names that was not yet met under all of
// them, and half a megabyte for each worker.
//
// # What is left after a failure or a crash
//
// A part of the copy. Nothing of it is of use, and it is the caller's to remove:
// copy under a name that nobody trusts, and rename once Copy has returned nil.
// With Options.Sync everything is on the disk by then.
package tree
