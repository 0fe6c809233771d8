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
