package state

// Refused returns why the agent has refused the volume's present generation, or
// nil: it has not looked yet, or has done what was asked. The agent tells by
// setting Status.Reason and ObservedGeneration and leaving all else as it was.
func Refused(v Volume) error {
	if v.Status.ObservedGeneration < v.Generation || v.Status.Reason == "" {
		return nil
	}
	return Errorf(v.Status.Reason, "%s", v.Status.Message)
}
