package state

// DeepCopyInto writes a copy that shares nothing with s. It is by hand, because the
// generator does not know how to copy a time.
func (s *SnapshotStatus) DeepCopyInto(to *SnapshotStatus) {
	*to = *s
	if s.CreationTime != nil {
		at := *s.CreationTime
		to.CreationTime = &at
	}
	if s.Progress != nil {
		to.Progress = s.Progress.DeepCopy()
	}
}

// DeepCopy returns a copy that shares nothing with s.
func (s *SnapshotStatus) DeepCopy() *SnapshotStatus {
	if s == nil {
		return nil
	}
	to := new(SnapshotStatus)
	s.DeepCopyInto(to)
	return to
}
