package v1alpha1

import (
	"cmp"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The conditions of the resources. They say again what the rest of the status says, in
// the form that `kubectl wait` and other programs know; nothing reads them here.
const (
	// ReadyCondition is that a volume can be published, or that a node has a pool that can
	// be used.
	ReadyCondition = "Ready"
	// HealthyCondition is that nothing is wrong with a volume.
	HealthyCondition = "Healthy"
	// SizeEnforcedCondition is that a volume is held to its size.
	SizeEnforcedCondition = "SizeEnforced"
	// ReadyToUseCondition is that a snapshot is whole.
	ReadyToUseCondition = "ReadyToUse"
	// PoolsUsableCondition is that all pools of a node can be used.
	PoolsUsableCondition = "PoolsUsable"
	// ConfigAcceptedCondition is that a node has its configuration in force as it is now, and
	// not the last good one.
	ConfigAcceptedCondition = "ConfigAccepted"
)

// Conclude writes what follows from the rest of the status.
func (v *HostPathVolume) Conclude() {
	st := &v.Status.VolumeStatus
	ready := phaseCondition(ReadyCondition, st.Phase, st.Reason, st.Message)
	if st.Phase == state.Ready && state.Emptying(state.Volume{Spec: v.Spec.VolumeSpec, Status: *st}) {
		ready.Status, ready.Reason = metav1.ConditionFalse, "Emptying"
		ready.Message = cmp.Or(ready.Message, "what a claim before left in it is being removed")
	}
	conclude(&v.Status.Conditions, st.ObservedGeneration, ready)
	if st.Phase != state.Ready {
		meta.RemoveStatusCondition(&v.Status.Conditions, HealthyCondition)
		meta.RemoveStatusCondition(&v.Status.Conditions, SizeEnforcedCondition)
		return
	}
	healthy := metav1.Condition{Type: HealthyCondition, Status: metav1.ConditionTrue, Reason: "NothingWrong"}
	if len(st.Health) > 0 {
		healthy.Status, healthy.Reason, healthy.Message = metav1.ConditionFalse, st.Health[0].Reason, told(st.Health)
	}
	size := metav1.Condition{Type: SizeEnforcedCondition, Status: metav1.ConditionTrue, Reason: "Limited"}
	if !st.Enforced {
		size.Status, size.Reason = metav1.ConditionFalse, "SizeNotEnforced"
		size.Message = "the volume can grow beyond its size; the status of its node's pool says why"
	}
	conclude(&v.Status.Conditions, st.ObservedGeneration, healthy, size)
}

// Conclude writes what follows from the rest of the status.
func (s *HostPathSnapshot) Conclude() {
	st := &s.Status.SnapshotStatus
	ready := phaseCondition(ReadyToUseCondition, st.Phase, st.Reason, st.Message)
	if st.Phase == state.Ready && !st.ReadyToUse {
		ready.Status, ready.Reason = metav1.ConditionFalse, string(state.Copying)
	}
	conclude(&s.Status.Conditions, st.ObservedGeneration, ready)
}

// Conclude writes what follows from the rest of the status.
func (n *HostPathNode) Conclude() {
	pools := n.Status.Pools
	usable := 0
	var wrong string // the reason of the first pool that cannot be used
	var messages []string
	for _, p := range pools {
		switch {
		case !p.Usable():
			wrong = cmp.Or(wrong, p.Health[0].Reason)
			messages = append(messages, "pool "+p.Name+": "+told(p.Health))
		case p.Cordoned != "":
			usable++
			messages = append(messages, "pool "+p.Name+" takes no new volumes: "+p.Cordoned)
		default:
			usable++
		}
	}
	message := strings.Join(messages, "; ")
	ready := metav1.Condition{Type: ReadyCondition, Status: metav1.ConditionTrue, Reason: "PoolUsable"}
	all := metav1.Condition{Type: PoolsUsableCondition, Status: metav1.ConditionTrue, Reason: "AllPoolsUsable", Message: message}
	switch {
	case len(pools) == 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "NoPool", "the configuration gives this node no pool"
		all.Reason = "NoPool"
	case usable == 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "NoPoolUsable", message
		all.Status, all.Reason = metav1.ConditionFalse, wrong
	case wrong != "":
		all.Status, all.Reason = metav1.ConditionFalse, wrong
	}
	accepted := metav1.Condition{Type: ConfigAcceptedCondition, Status: metav1.ConditionTrue, Reason: "InForce"}
	if wrong := n.Status.ConfigError; wrong != "" {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, "LastGoodInForce", wrong
	}
	conclude(&n.Status.Conditions, n.Generation, ready, all, accepted)
	n.Status.Summary = summaryOf(pools, usable)
}

// phaseCondition tells whether a record is Ready, and otherwise why not.
func phaseCondition(kind string, phase state.Phase, reason state.Reason, message string) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: cmp.Or(string(phase), string(state.Pending)), Message: message}
	switch phase {
	case state.Ready:
		c.Status = metav1.ConditionTrue
	case state.Failed:
		c.Reason = cmp.Or(string(reason), c.Reason)
	}
	return c
}

// told gives what is wrong as one line.
func told(health []state.Health) string {
	var all []string
	for _, h := range health {
		all = append(all, cmp.Or(h.Message, h.Reason))
	}
	return strings.Join(all, "; ")
}

// conclude sets conditions; the time of one changes with its status only.
func conclude(conditions *[]metav1.Condition, generation int64, all ...metav1.Condition) {
	for _, c := range all {
		c.ObservedGeneration = max(0, generation)
		if !reasonForm.MatchString(c.Reason) {
			c.Reason = "Other"
		}
		c.Message = shortened(c.Message)
		meta.SetStatusCondition(conditions, c)
	}
}

// reasonForm is what the API server takes for the reason of a condition.
var reasonForm = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]{0,1000}[A-Za-z0-9_])?$`)

// maxMessage is the longest message of a condition: many pools may have much to say, and
// all of it stands with them, too.
const maxMessage = 4096

func shortened(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}
