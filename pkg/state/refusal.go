package state

// Refused returns why the agent has refused the volume's present generation, or
// nil: it has not looked yet, or has done what was asked. The agent tells by
// setting Status.Reason and ObservedGeneration and leaving all else as it was.
func Refused(v Volume) error {
	return refusal(v.Meta, v.Status.ObservedGeneration, v.Status.Reason, v.Status.Message)
}

// RefusedSnapshot is Refused for a snapshot whose deletion was asked for.
func RefusedSnapshot(s Snapshot) error {
	return refusal(s.Meta, s.Status.ObservedGeneration, s.Status.Reason, s.Status.Message)
}

func refusal(m Meta, observed int64, reason Reason, message string) error {
	if observed < m.Generation || reason == "" {
		return nil
	}
	return Errorf(reason, "%s", message)
}

// Removable tells whether a volume's end is asked for. A deletion that the agent has refused is
// not, until somebody asks anew: whoever had asked was told that the volume stays, and its data
// may be in use by the next. That the controller has not yet taken the deletion back, or never
// does because it was killed, makes no difference. One that cannot be taken back stays asked for.
func Removable(v Volume) bool { return removable(v.Meta, v.Status.Phase, Refused(v)) }

// RemovableSnapshot is Removable for a snapshot.
func RemovableSnapshot(s Snapshot) bool { return removable(s.Meta, s.Status.Phase, RefusedSnapshot(s)) }

// removable asks for no refusal of what is not Ready: its reason is why it is not.
func removable(m Meta, phase Phase, refused error) bool {
	return m.DeletedAt != nil && (m.DeletedForGood || phase != Ready || refused == nil)
}
