package state

import "context"

// Page asks for a part of a list, which is ordered by ID.
type Page struct {
	// After is the ID behind which the page begins; "" begins at the start. It
	// need not name a record that (still) exists.
	After string
	// Limit is how many records at most; 0: all.
	Limit int
}

// Event says that a record changed. Gone means that there is no such record any
// more; Object then holds what was last known of it.
type Event[S, U any] struct {
	Object Object[S, U]
	Gone   bool
}

// Records is the reading half of a store, and open to everybody.
//
// Errors carry a Reason: NotFound for a record there is not, Corrupt for one that
// does not read back as it was written, Unavailable for a store that cannot
// answer now. Objects are the caller's own: changing one changes nothing else.
type Records[S, U any] interface {
	// Get returns the record as it is now.
	Get(ctx context.Context, id string) (Object[S, U], error)
	// List returns a page of records in the order of their IDs, and where the
	// next page begins ("" after the last one). Records created or deleted
	// between two pages neither hide nor repeat another.
	List(ctx context.Context, page Page) (records []Object[S, U], next string, err error)
	// Watch tells of every change from now on, until ctx ends; then the channel
	// is closed. A reader that lags sees the latest of several changes of one
	// record, never misses the last, and holds nobody up.
	Watch(ctx context.Context) <-chan Event[S, U]
	// Wake sends on the returned channel (of capacity one) after every change of
	// one record, its end included, until stop is called. See Await.
	Wake(id string) (woken <-chan struct{}, stop func())
}

// Desired is the controller's half: it writes what shall be.
type Desired[S, U any] interface {
	Records[S, U]
	// Known is Get without asking anybody beyond this process: where another process writes,
	// too, a record that this one has not been told of yet is NotFound. It is for whoever
	// creates the record then, which tells for certain; an error that is answered instead
	// takes a Get first, lest it be told of something that is there.
	Known(ctx context.Context, id string) (Object[S, U], error)
	// Create stores a new record with an empty Status and returns it with its
	// Meta filled in. AlreadyExists if the ID is taken, even by a record whose
	// deletion was asked for.
	//
	// A Pending record need not outlive the store's process: nobody has been
	// answered yet. It does outlive it in stores that other processes share.
	Create(ctx context.Context, id string, spec S) (Object[S, U], error)
	// UpdateSpec lets change edit the Spec and stores the result as the next
	// generation, unless change fails or changes nothing. It may be called
	// several times, and must not call the store. Busy if the record's deletion
	// was asked for.
	UpdateSpec(ctx context.Context, id string, change func(spec *S) error) (Object[S, U], error)
	// Delete asks for the record's end by setting DeletedAt, as the next
	// generation; the agent finishes with Finalize. NotFound if there is none; a
	// second call changes nothing.
	Delete(ctx context.Context, id string) error
	// Keep takes a deletion back that the agent has refused (Status.Reason InUse):
	// DeletedAt is nil again, durably and as the next generation. NotFound if
	// there is no record with this ID and UID. The refusal holds before it, too: see
	// Removable.
	Keep(ctx context.Context, id, uid string) error
}

// Observed is the agent's half: it writes what is.
type Observed[S, U any] interface {
	Records[S, U]
	// UpdateStatus lets change edit the Status and stores the result unless
	// change fails or changes nothing. It may be called several times, and must
	// not call the store. Once it has returned, the new status outlives a power
	// cut, but for that of a record that is Pending before and after, and of a node.
	//
	// The functions in then are called once the new status is stored, and before
	// anybody in this process is told of it or can read it: for what is to be the
	// case when a caller is answered. They must not call the store.
	UpdateStatus(ctx context.Context, id string, change func(status *U) error, then ...func()) (Object[S, U], error)
	// Finalize removes the record: the disk holds nothing of it any more. Once
	// it has returned, the removal outlives a power cut, unless the record said
	// Deleting: then the record may come back with that, to be finalized again.
	// NotFound if there is no record with this ID and UID: a record of a later
	// life is never removed.
	Finalize(ctx context.Context, id, uid string) error
}

// Owned is both halves, for the store's implementation, and for records that one
// side writes alone: a node's agent owns the record of its node.
type Owned[S, U any] interface {
	Desired[S, U]
	Observed[S, U]
}

// The contracts by kind.
type (
	VolumeRecords     = Records[VolumeSpec, VolumeStatus]
	DesiredVolumes    = Desired[VolumeSpec, VolumeStatus]
	ObservedVolumes   = Observed[VolumeSpec, VolumeStatus]
	DesiredSnapshots  = Desired[SnapshotSpec, SnapshotStatus]
	ObservedSnapshots = Observed[SnapshotSpec, SnapshotStatus]
	NodeRecords       = Records[NodeSpec, NodeStatus]
	OwnedNodes        = Owned[NodeSpec, NodeStatus]
)

// Store keeps all records.
//
// Everything a store acknowledged is there after a crash, whole or not at all:
// changes are atomic and checksummed, and one durable commit serves all the calls
// that wait for it at the time. Reads and writes of one record cost O(log n) in
// the number of records; writes of different records do not wait for each other
// but in that commit.
type Store interface {
	Volumes() Owned[VolumeSpec, VolumeStatus]
	Snapshots() Owned[SnapshotSpec, SnapshotStatus]
	Nodes() Owned[NodeSpec, NodeStatus]
	// UUID names this store. A pool remembers the store that its volumes are
	// recorded in, so that a lost store is noticed and not started empty.
	UUID() string
	// Healthy returns nil while the store can read and write.
	Healthy(ctx context.Context) error
	// Close ends the store after the calls in flight. Watches end.
	Close() error
}
