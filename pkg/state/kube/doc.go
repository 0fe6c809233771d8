// Package kube keeps the records in Kubernetes custom resources: the store that the
// controller and the nodes of a cluster share. The API server is the store, the
// messenger, and the judge of who may write what.
//
// # A record and its object
//
//	ID          the object's name; of a node, spec.node (see v1alpha1.HostPathNode)
//	UID         metadata.uid, without its dashes
//	Generation  metadata.generation: the API server counts every change of spec
//	CreatedAt   metadata.creationTimestamp
//	DeletedAt   spec.deletedAt, or else metadata.deletionTimestamp
//	Spec        spec
//	Status      the status subresource
//
// A deletion that the agent refuses is taken back, and Kubernetes knows no way back
// from a deletionTimestamp: so Delete writes spec.deletedAt and Keep removes it. An
// object that a person deletes with kubectl is deleted, too, and cannot be kept. A
// finalizer holds it until Finalize.
//
// # Writes
//
// A write is a merge patch of what was changed, with the resourceVersion it was made
// for: the API server refuses it if anything was written in between, and then the
// change is made again, for the object as it is now. A patch leaves alone what it
// does not name, fields that another version of this program knows among them. One call is one write:
//
//	Create           POST, with the finalizer in it
//	UpdateSpec       PATCH; Delete and Keep likewise
//	UpdateStatus     PATCH of the status subresource
//	Finalize         PATCH (the finalizer), DELETE with the UID as a precondition
//
// So a volume's creation costs two or three writes (with a quota ID, which is
// recorded before it is used), its deletion four. A crash in the midst of Finalize
// leaves an object without a finalizer, which is finalized again.
//
// etcd has a write on the disks of a majority before it is acknowledged: every change
// is durable when it is told of.
//
// # Reads
//
// One watch for each kind keeps all the records in memory, or, on a node, those of
// that node: Get and List ask nobody. Get asks the API server for a record that is
// not there. What this process has written it reads: the answer to each write goes
// into memory, unless the watch has already told of something newer. What others
// write is seen when the watch tells, some milliseconds later.
//
// While the API server is away, what is known can be read, and writes answer
// Unavailable. The watch is resumed where it ended; if too much has happened since,
// everything is listed and compared. Nothing is polled.
package kube
