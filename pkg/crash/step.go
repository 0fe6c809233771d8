// Package crash names the instants at which a crash test kills the process.
//
// Step costs nothing in a normal build: it is an empty function. Built with
// -tags crashtest, the process kills itself with SIGKILL at the step that the
// environment variable HOSTPATH_CSI_CRASH_AT names ("NAME" or "NAME:N" for the
// Nth time it is reached), as a power cut or the OOM killer would.
package crash

// Name is the name of a step: "RPC.what-was-just-done".
type Name string

// The steps. The gap behind each is where the process dies; what must hold after
// the next start is told in package backend and proven in tests/crash.
const (
	CreateRecorded       Name = "create.recorded"       // the record is Pending, nothing is on the disk
	CreateMade           Name = "create.made"           // .tmp/ID.UID exists, nothing is synced
	CreateLabelled       Name = "create.labelled"       // it carries its record
	CreateSynced         Name = "create.synced"         // it would outlive a power cut
	CreateCommitting     Name = "create.committing"     // the store's commit is about to begin
	CreateCommitted      Name = "create.committed"      // the record is Ready, the directory still in .tmp
	CreatePlaced         Name = "create.placed"         // the directory is in its place, nobody was answered
	ClaimsMade           Name = "claims.made"           // the directories on the way to a volume's place are made, and are empty
	ClaimsPruned         Name = "claims.pruned"         // a volume has left its place, and the last directory on the way is gone
	AdoptLabelled        Name = "adopt.labelled"        // an existing directory carries the record of the volume that it is to become
	AdoptHeld            Name = "adopt.held"            // it has its limit, not synced
	RestoreLabelled      Name = "restore.labelled"      // the record is Ready and on what was archived, which is in the archive still
	ExpireDoomed         Name = "expire.doomed"         // an entry of the archive says that it is to be removed, and is in its place
	ExpireRenamed        Name = "expire.renamed"        // it is in .trash, not synced
	OrphanRenamed        Name = "orphan.renamed"        // an orphan is in .trash, not synced, and nobody was answered
	DeleteRecorded       Name = "delete.recorded"       // the record says that it shall go
	DeleteDoomed         Name = "delete.doomed"         // the directory says what is to become of it in .trash, and is in its place
	DeleteRenamed        Name = "delete.renamed"        // the directory is in .trash, not synced
	DeleteCommitted      Name = "delete.committed"      // the record says Deleting; the caller may have been answered
	DeleteSynced         Name = "delete.synced"         // the rename would outlive a power cut
	DeleteFinalized      Name = "delete.finalized"      // the record is gone
	PurgeStarted         Name = "purge.started"         // some of the trash is removed
	PurgeArchived        Name = "purge.archived"        // the directory is in the archive, not synced
	PurgeScrubbing       Name = "purge.scrubbing"       // some of the contents are overwritten
	PurgeScrubbed        Name = "purge.scrubbed"        // the contents are overwritten, and nothing is removed
	EmptyRecorded        Name = "empty.recorded"        // the record asks that the contents go, and all are there
	EmptySynced          Name = "empty.synced"          // they are gone, durably; the status does not say so
	ExpandRecorded       Name = "expand.recorded"       // the record asks for more
	ExpandResized        Name = "expand.resized"        // the limit is in force, the status does not say so
	ExpandGrown          Name = "expand.grown"          // the loop device has the new size, the status does not say so
	ExpandCommitted      Name = "expand.committed"      // the status says so, nobody was answered
	PublishChecked       Name = "publish.checked"       // the target exists, nothing is mounted
	PublishAttached      Name = "publish.attached"      // the image has a loop device, nothing is mounted
	PublishMounted       Name = "publish.mounted"       // the volume is mounted, nobody was answered
	UnpublishDetach      Name = "unpublish.detached"    // the mount is gone, its directory is not
	UnpublishFreed       Name = "unpublish.freed"       // the loop device is, too
	UnpublishRemoved     Name = "unpublish.removed"     // all is gone, nobody was answered
	EphemeralMade        Name = "ephemeral.made"        // the volume of a pod is ready, nothing is mounted
	EphemeralUnpublished Name = "ephemeral.unpublished" // it is published nowhere any more, its record asks for nothing
	SnapshotRecorded     Name = "snapshot.recorded"     // the record is Pending, nothing is on the disk
	SnapshotCopying      Name = "snapshot.copying"      // the record says Copying; the caller may have been answered
	SnapshotCommitting   Name = "snapshot.committing"   // the copy is whole and synced, the store's commit is about to begin
	SnapshotCommitted    Name = "snapshot.committed"    // the record is Ready, the copy still in .tmp
	SnapshotPlaced       Name = "snapshot.placed"       // the copy is in its place, nobody was answered
	StoreCommitted       Name = "store.committed"       // a durable commit has ended, nobody knows yet
	PoolMarked           Name = "pool.marked"           // a new pool's marker is written, not yet in place
	DiskAllocated        Name = "disk.allocated"        // a new image has its size, under another name
	DiskClaimed          Name = "disk.claimed"          // a blank device says that it is being formatted
	DiskFormatted        Name = "disk.formatted"        // the image, or device, has a filesystem, and is not yet free to be used
	DiskPlaced           Name = "disk.placed"           // the image has its name, not synced
	DiskAttached         Name = "disk.attached"         // the image has a loop device, nothing is mounted
	DiskMounted          Name = "disk.mounted"          // it is mounted, and no pool so far
	DiskExtended         Name = "disk.extended"         // the image is larger than its filesystem
	DiskGrown            Name = "disk.grown"            // the filesystem is as large
)

// Steps lists every step, for the tests that must reach each of them.
func Steps() []Name {
	return []Name{CreateRecorded, CreateMade, CreateLabelled, CreateSynced, CreateCommitting, CreateCommitted,
		CreatePlaced, AdoptLabelled, AdoptHeld, RestoreLabelled, ExpireDoomed, ExpireRenamed, OrphanRenamed, ClaimsMade, ClaimsPruned, DeleteRecorded, DeleteDoomed, DeleteRenamed, DeleteCommitted, DeleteSynced, DeleteFinalized, PurgeStarted, PurgeArchived, PurgeScrubbing, PurgeScrubbed, EmptyRecorded, EmptySynced, ExpandRecorded,
		ExpandResized, ExpandGrown, ExpandCommitted, PublishChecked, PublishAttached, PublishMounted, UnpublishDetach, UnpublishFreed, UnpublishRemoved, EphemeralMade, EphemeralUnpublished,
		SnapshotRecorded, SnapshotCopying, SnapshotCommitting, SnapshotCommitted, SnapshotPlaced,
		StoreCommitted, PoolMarked, DiskAllocated, DiskClaimed, DiskFormatted, DiskPlaced, DiskAttached, DiskMounted, DiskExtended, DiskGrown}
}
