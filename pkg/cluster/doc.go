// Package cluster is what the driver sees of a Kubernetes cluster beside its own
// records: whether a node is there, and whether the agent on it is at work.
//
//	client.go     the kinds of objects that are known
//	recorder.go   what is told of them, in events
//	configmap.go  what is wrong with the configuration, in events on its ConfigMap
//	heartbeat.go  an agent says that it is at work, by a Lease
//	nodes.go      who is there, by Node objects and Leases
//	gone.go       the records of a node that was taken out of the cluster end
//	recycle.go    a released volume is emptied, and can be claimed again
//	herald.go     what is wrong with a volume is told on its claim
//	labels.go     the labels of one node, by which its pools are chosen
//
// In a cluster a CSI node ID is the name of the Node object.
//
// Nothing that a volume's data depends on is decided here by the clock of another
// machine: a Lease counts as renewed when this process saw it change.
package cluster

import "time"

const (
	// beatEvery is how often an agent renews its Lease.
	beatEvery = 10 * time.Second
	// patience is how long after the last renewal an agent counts as at work: three
	// renewals may be lost, to an API server that is restarted, say.
	patience = 4 * beatEvery
)

// leasePrefix and the node's name are the name of its agent's Lease.
const leasePrefix = "hostpath-csi-node-"
