package state

import (
	"fmt"
	"slices"
)

// HealthOf tells what is wrong with a volume, and with the pool of its node that it lies in.
func HealthOf(v Volume, n NodeStatus) []Health {
	all := slices.Clone(v.Status.Health)
	p, ok := n.Pool(v.Spec.Pool)
	if !ok {
		return append(all, Health{Type: Inaccessible, Reason: "PoolMissing", Message: fmt.Sprintf("node %s has no pool %s", v.Spec.Node, v.Spec.Pool)})
	}
	return append(append(all, unlimited(v, p)...), p.Health...)
}

// unlimited tells of a volume that can grow beyond its size, where that is not what the
// pool is meant to let it.
func unlimited(v Volume, p PoolStatus) []Health {
	if v.Status.Enforced || v.Spec.AccessType == BlockAccess || p.Enforcement == "" || p.Enforcement == EnforcementNone {
		return nil
	}
	why := p.Unenforced
	if why == "" {
		why = "it was made when the pool had no limits; a copy of it has one"
	}
	return []Health{{Type: Degraded, Reason: "SizeNotEnforced",
		Message: "nothing holds the volume to its size: " + why + ". If that is as it should be, give the pool enforcement: none"}}
}
