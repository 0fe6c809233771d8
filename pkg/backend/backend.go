// Package backend is the contract between the agent and what a filesystem can do.
//
// A pool is one directory of one filesystem; its Backend builds volumes in it.
// The layout is the same for all:
//
//	POOL/                   0711 root
//	  .hostpath-csi.json    marker: pool UUID, layout version, store UUID
//	  volumes/ID/           a mount volume's data
//	  claims/PATH/          a mount volume's data, if its class names it after its claim
//	  images/ID             a block volume's data, a file
//	  snapshots/ID          a snapshot's data, 0700: what a volume held once; a directory or an
//	                        image, as the volume is
//	  .tmp/ID.UID           being built: nobody was answered yet
//	  .trash/ID.UID         being removed: the answer was given
//	  archive/NAME          was a volume, and is kept: see Archived
//
// The record of a volume travels with its data, as the extended attribute
// RecordXattr of the volume's directory (or image file). A rename, which is
// atomic, moves both; a removal removes both; there is no second file to keep in
// step. Lost state is rebuilt from these (hostpath-csi recover).
//
// # The life of a volume, and the order of its durable steps
//
//	Build     .tmp/ID.UID is made with contents, limit, owner, mode and record;
//	          it and .tmp are fsynced. A crash before: nothing, or a leaving in
//	          .tmp that no record speaks of; the start-up scan removes it.
//	(store)   the record is committed as Ready. From here on the volume exists.
//	Place     .tmp/ID.UID is renamed to volumes/ID, or images/ID. Not synced: after a power cut
//	          the directory is in one place or the other, and the start-up scan
//	          calls Place for a Ready record whose directory is still in .tmp.
//	          Nobody is told of the commit before.
//	(answer)
//	...
//	Discard   volumes/ID (or images/ID, or .tmp/ID.UID) is renamed to .trash/ID.UID. Not synced.
//	          A crash here: the record says Ready, but there is only the entry in
//	          the trash; the start-up scan finishes the deletion.
//	(store)   the record is committed as Deleting. From here on the volume is no
//	          more: wherever a power cut leaves its directory, the start-up scan
//	          calls Discard for a Deleting record.
//	(answer)
//	Settle    the directories are fsynced, once for all that was discarded so far.
//	(store)   the record is removed. Should a power cut bring it back, it says
//	          Deleting, and there is nothing left to discard.
//	Purge     the trash is emptied in the background, however long that takes.
//
// What becomes of a volume with onDelete archive or scrub is written on it, durably,
// before it is renamed to .trash, for its record is gone by the time it matters. In the place of
// Purge, or before it:
//
//	Archive   .trash/ID.UID is renamed to archive/NAME, and both directories are
//	          fsynced. A crash before: it is in the trash, and archived again.
//	Scrub     every file is overwritten with zeros and fsynced, and then purged. A
//	          crash before: it is in the trash, and overwritten again.
//
// A snapshot lives and dies by the same steps, with snapshots/ in the place of volumes/;
// while it is being copied, its record may say Copying.
//
// # Volumes that are named after their claims
//
// Such a volume (VolumeSpec.Path) lies in claims/, in directories that may have no meaning but to people:
// claims/shop/data-db-0-ID. It lies there itself, where a backup finds it, and not behind a symbolic
// link: a tree of links beside volumes/ would have to be kept in step with it, and shows nothing to
// whoever follows none, as most backups do and this driver must. Its path is part of its Spec, made by
// the controller before there is anything of the volume, so that it follows from the record alone.
//
// That hostile names do no harm is told by the names (state.PathID): what is the place of a volume
// and what a directory on the way to one can be seen from either, the place tells the ID, and no path
// is another's or leads through another's. The directories on the way are root's, 0711,
// and hold nothing else.
//
//	Build     makes the directories on the way. A crash: they are empty
//	Place     makes them again, if a deletion beside has removed them meanwhile, and renames
//	Discard   renames to .trash, and removes the directories on the way that are empty now. A
//	          crash between: they are empty
//	Prune     (at the start) removes those that are empty
//
// Nothing of that is synced, and no lock is held: a directory is removed only if it is empty, which
// the kernel decides, and what is to be placed in one that was removed is placed in a new one.
//
// # Directories that become volumes
//
// A volume may be made of a directory that is in the pool before (VolumeSpec.Adopt), with all that is
// in it, and none of it copied. Until somebody was answered it stays where it is and is not the
// driver's: whatever fails, or is cut short, leaves the directory, and Discard only takes off it what
// was put on it.
//
//	Adopt     the record is written on the directory, and synced. A crash: it is taken off by
//	          Discard, or done again; without a store that has it, it says nothing
//	          all files become files of the volume's project, and that is limited. A crash: the same
//	          all is synced
//	(store)   the record is committed as Ready. From here on it is a volume like any other
//	Place     the directory is renamed to volumes/ID, unless it is there. Not synced: the start-up
//	          scan calls Place for a Ready record that is in neither place
//
// # Deleted volumes that come back
//
// What is in the archive becomes a volume again by the same steps, with archive/NAME as what is
// adopted: a directory, or an image. It is not copied, and is not in the archive any more then. Until
// the volume is Ready, the archive's entry goes on saying whose it was:
//
//	Adopt     the volume that it is to become is written beside what was to become of it (its
//	          fate), and synced. A crash: it is in the archive, and Discard, or the next who wants
//	          it, takes that off. It is not removed from the archive while that volume has a record
//	          its files become files of the volume's project, and that is limited. All is synced
//	(store)   the record is committed as Ready
//	Place     the volume's record is written on it, in the place of the old one, and synced; it is
//	          renamed to the volume's place. Not synced: the start-up scan does it again
//
// Expire, the end of what is in the archive, is refused by that; it writes what is to become of it in
// the trash, syncs that, renames it there, and syncs both directories.
//
// # What belongs to nobody
//
// What lies where volumes and snapshots do, and no record speaks of, is an orphan. It is removed only
// if somebody asks for it by its path:
//
//	own       no record of the store speaks of it, and nothing of it is mounted. Nothing is adopted
//	          meanwhile, and nothing is placed where something lies
//	(rename)  it is renamed to .trash, under a name that no volume has. A crash: it is in one place
//	          or the other, and removed or still an orphan
//	(sync)    both directories are
//	(answer)
//	Purge     as of any entry of the trash; what was to become of it once, as a volume, does not count
//
// # What a copy is
//
// A snapshot is a copy of a volume, and a volume may begin as a copy of a snapshot or of
// another volume (BuildFrom). A copy that a crash cut short is a leaving in .tmp as any
// other, never placed. Once placed it is independent: its origin may be changed or removed.
// While a copy is made, its origin must not be discarded; the agent sees to that. How the
// copy relates to writes that go on in the origin is told by Features.AtomicSnapshots; the
// copy of a block volume is of one instant wherever blocks are shared, being one file.
//
// All methods may be called concurrently, for one volume only one at a time (the
// agent sees to that). All but Purge, Scrub, Empty, Footprint, Snapshot and BuildFrom return within the time of a few system calls
// on a filesystem that shares blocks. Errors carry a state.Reason: NoSpace,
// Unsupported, Lost (the volume's directory is not there), Defect.
package backend

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// RecordXattr holds a volume's record, as JSON, on its directory. The trusted
// namespace is out of reach for pods without CAP_SYS_ADMIN.
const RecordXattr = "trusted.hostpath-csi.record"

// VolumePath is where a mount volume's data lies, relative to its pool.
func VolumePath(id string) string { return "volumes/" + id }

// SnapshotPath is where a snapshot's data lies, relative to its pool.
func SnapshotPath(id string) string { return "snapshots/" + id }

// ImagePath is where a block volume's data lies, relative to its pool.
func ImagePath(id string) string { return "images/" + id }

// ClaimPath is where a mount volume's data lies, relative to its pool, if it is named after
// its claim.
func ClaimPath(path string) string { return "claims/" + path }

// PathOf is where a volume's data lies, relative to its pool.
func PathOf(v state.Volume) string {
	switch {
	case v.Spec.AccessType == state.BlockAccess:
		return ImagePath(v.ID)
	case v.Spec.Path != "":
		return ClaimPath(v.Spec.Path)
	}
	return VolumePath(v.ID)
}

// ImageUnit divides the size of every block volume, in bytes: the largest block that
// disks and filesystems in use want to be written at once, and a multiple of all others.
const ImageUnit = 4096

// ErrRemounted means that a pool is where it was, but has to be opened again.
var ErrRemounted = errors.New("its disk was mounted anew since the pool was opened")

// Features tells what a backend does on the filesystem at hand.
type Features struct {
	// Filesystem is the kernel's name for it: "ext4", "xfs", "btrfs", "tmpfs".
	Filesystem string `json:"filesystem"`
	// EnforcesLimits: a volume never takes more bytes than its capacity.
	EnforcesLimits bool `json:"enforcesLimits"`
	// SharesBlocks: copies cost no space until they differ.
	SharesBlocks bool `json:"sharesBlocks"`
	// AtomicSnapshots: a snapshot is of one instant; otherwise of one instant per file.
	AtomicSnapshots bool `json:"atomicSnapshots"`
	// RemovesAtOnce: Purge takes a volume of any size away in one step, which cannot
	// be interrupted, and counts it as one inode.
	RemovesAtOnce bool `json:"removesAtOnce"`
}

// Contents is everything in a pool that is, or was to be, a volume or a snapshot.
type Contents struct {
	// Volumes holds the names in volumes/, Images those in images/. Records are not read:
	// see Backend.ReadRecord.
	Volumes, Images map[string]struct{}
	// Claims holds the paths beneath claims/ of what is, or lies beside, places of volumes.
	Claims map[string]struct{}
	// Snapshots holds the names in snapshots/.
	Snapshots map[string]struct{}
	// Building holds the names in .tmp/, Trash those in .trash/: see PassingName.
	Building, Trash map[string]struct{}
}

// Fate is what is to become of a deleted volume.
type Fate struct {
	// OnDelete is archive, scrub, or anything else, which is to be removed.
	OnDelete state.OnDelete `json:"onDelete"`
	// DeletedAt is when it was taken out of the way.
	DeletedAt time.Time `json:"deletedAt"`
}

// Archived is an entry of the archive.
type Archived struct {
	Name string
	// Volume is the record that it carries, and DeletedAt when it was deleted; nil for
	// what was not archived by this driver, or cannot be read.
	Volume    *state.Volume
	DeletedAt time.Time
}

// OpenArchived is an entry of the archive, opened.
type OpenArchived struct {
	File *os.File
	// Volume is the record that it carries.
	Volume state.Volume
}

// PassingName is the name of a volume or snapshot in .tmp and .trash, where another life
// of the same ID may have left something too.
func PassingName[S, U any](o state.Object[S, U]) string { return o.ID + "." + o.UID }

// IDs gives out the quota IDs of a pool, each to one volume. One is held while a
// record has it, from Take (or Hold, for records that are found at the start) until
// Release. Whether data of a deleted volume still carries a released ID is for the
// backend to see to.
type IDs interface {
	Take() (uint32, error)
	Hold(id uint32) error
	Release(id uint32) error
}

// Limiter is a Backend that holds a volume to its size by an ID of its own, which the
// agent takes and records (Status.QuotaID) before the volume is built.
type Limiter interface {
	Backend
	// QuotaIDs returns nil where limits are not enforced.
	QuotaIDs() IDs
	// Sweep is for the start, once the IDs of all records are held: it clears the
	// limits that a crash has left behind, and tells how many.
	Sweep() (cleared int, err error)
}

// Backend builds the volumes of one pool.
type Backend interface {
	Features() Features

	// Build makes the volume under .tmp, durably, with everything that its
	// record asks for. Leavings of an earlier attempt are replaced.
	Build(ctx context.Context, v state.Volume) error
	// Place moves what Build made to its place and returns that, relative to
	// the pool. It succeeds if that was done before.
	Place(ctx context.Context, v state.Volume) (path string, err error)
	// BuildFrom is Build for a volume whose first contents are those of from, an
	// opened volume or snapshot of this pool. Owner and mode of the volume's root are
	// those of from, unless v.Spec.Source says otherwise. progress, which may be nil, is
	// told now and then what is done.
	BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error
	// Adopt is Build for a volume that is made of what is at v.Spec.Adopt: a directory, or an
	// entry of the archive. own tells whether that may be taken, given the names of the record that
	// it carries or, in the archive, of the volume that it was to become (nil: none): it is called
	// while nothing else of the pool is adopted. OutOfRange if a directory takes more than
	// the volume is to have.
	Adopt(ctx context.Context, v state.Volume, own func(there *state.Meta) error) error
	// Snapshot makes, under .tmp and durably, a snapshot of from, an opened volume.
	// It is placed, opened and discarded as a volume is.
	Snapshot(ctx context.Context, s state.Snapshot, from *os.File, progress func(state.Progress)) error
	PlaceSnapshot(ctx context.Context, s state.Snapshot) (path string, err error)
	DiscardSnapshot(ctx context.Context, s state.Snapshot) error
	OpenSnapshot(s state.Snapshot) (*os.File, error)
	// RelabelSnapshot makes s the record on the snapshot, durably.
	RelabelSnapshot(s state.Snapshot) error
	// Footprint returns how many bytes of the pool a snapshot of the volume takes, at
	// most, now or as the volume is written to later.
	Footprint(ctx context.Context, v state.Volume) (bytes int64, err error)
	// Resize makes the volume's limit that of v.Spec, and its record v, durably.
	Resize(ctx context.Context, v state.Volume) error
	// Empty removes, durably, all that is in the volume, which nobody has mounted: it is
	// then as Build makes an empty one, with the limit that it has. A volume with onDelete
	// scrub is overwritten first. Cut short, it has removed some; it is called again.
	Empty(ctx context.Context, v state.Volume) error
	// Discard takes the volume out of the way, wherever its creation or deletion
	// stands; it succeeds if there is nothing (left) of it.
	Discard(ctx context.Context, v state.Volume) error
	// Settle makes every Discard that has returned durable.
	Settle(ctx context.Context) error
	// Purge removes one entry of .trash, telling progress as it removes: the
	// number of inodes since the last call.
	Purge(ctx context.Context, name string, progress func(inodes int)) error

	// Open returns the volume's directory or image, opened with O_PATH beneath
	// the pool; no symbolic link is followed. The caller closes it.
	Open(v state.Volume) (*os.File, error)
	// Usage counts the bytes and inodes of the volume itself.
	Usage(ctx context.Context, v state.Volume) (state.Usage, error)
	// Capacity counts the bytes and inodes of the pool's filesystem.
	Capacity(ctx context.Context) (state.Usage, error)

	// Contents lists the pool, for the start-up scan; Trash only what Purge may
	// take.
	Contents(ctx context.Context) (Contents, error)
	Trash(ctx context.Context) ([]string, error)
	// ReadRecord returns the record kept with a path of the pool ("volumes/x").
	ReadRecord(path string) (state.Volume, error)
	// ReadSnapshotRecord is ReadRecord for a snapshot ("snapshots/x").
	ReadSnapshotRecord(path string) (state.Snapshot, error)

	// Fate tells what is to become of an entry of .trash.
	Fate(entry string) (Fate, error)
	// Archive moves an entry of .trash to archive/, durably, and returns its name there.
	Archive(entry string) (name string, err error)
	// Scrub overwrites the contents of an entry of .trash, durably; it may be called
	// again after it was cut short. progress is told as with Purge.
	Scrub(ctx context.Context, entry string, progress func(inodes int)) error
	// Archived lists the archive.
	Archived() ([]Archived, error)
	// OpenArchived opens, with O_PATH, an entry of the archive that was a volume; NotFound if
	// there is none. The caller closes it.
	OpenArchived(name string) (OpenArchived, error)
	// Expire moves an entry of the archive to .trash, durably, to be removed. own tells whether
	// it is to become no volume, given the names of the last that was to: it is called if there
	// is one, and while nothing of the pool is adopted. NotFound if there is no such entry.
	Expire(name string, own func(heir *state.Meta) error) error

	// Prune is for the start: it removes the directories of claims/ that are empty.
	Prune(ctx context.Context) error
	// DiscardLeaving moves an entry of .tmp that no record speaks of to the trash.
	DiscardLeaving(name string) error
	// RemoveOrphan moves what lies at a path of the pool, where volumes and snapshots do, to
	// .trash, durably. own tells whether it is nobody's, given the names of the record that it
	// carries (nil: none): it is called while nothing of the pool is adopted. NotFound if
	// nothing is there, InUse if something is mounted there.
	RemoveOrphan(path string, own func(there *state.Meta) error) error
	// StillThere returns nil while the pool's path leads to the pool that was
	// opened, and otherwise NotReady: its disk was unmounted, say; ErrRemounted if
	// it was mounted again since.
	StillThere() error

	// Close releases what the backend holds open.
	Close() error
}
