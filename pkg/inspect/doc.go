// Package inspect reads what lies on the disks of a machine's pools: the volumes and
// snapshots by the records that they carry, what no record speaks of, and how full the
// pools are. It asks neither the driver nor its store, so it works while the driver runs
// and after it died; it takes no lock and changes nothing.
//
// A record on a disk is as of the volume's creation or last expansion. What lies in a
// pool may be hostile: everything is opened beneath the pool by one name, no symbolic
// link followed, and a record that does not fit its place is told of, not believed.
package inspect
