package v1alpha1

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// said gives conditions in the order in which they are, each as one line.
func said(conditions []metav1.Condition) string {
	var lines []string
	for _, c := range conditions {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message)))
	}
	return strings.Join(lines, "\n")
}

func wantSaid(t *testing.T, conditions []metav1.Condition, want ...string) {
	t.Helper()
	if got := said(conditions); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestTheConditionsOfAVolume(t *testing.T) {
	for name, test := range map[string]struct {
		spec   state.VolumeSpec
		status state.VolumeStatus
		want   []string
	}{
		"one that is being made": {want: []string{"Ready=False Pending"}},
		"one that could not be made": {
			status: state.VolumeStatus{Phase: state.Failed, Reason: state.NoSpace, Message: "pool fast has room for 5 bytes"},
			want:   []string{"Ready=False NoSpace pool fast has room for 5 bytes"},
		},
		"one that is held to its size": {
			status: state.VolumeStatus{Phase: state.Ready, Enforced: true},
			want:   []string{"Ready=True Ready", "Healthy=True NothingWrong", "SizeEnforced=True Limited"},
		},
		"one that is not": {
			status: state.VolumeStatus{Phase: state.Ready},
			want: []string{"Ready=True Ready", "Healthy=True NothingWrong",
				"SizeEnforced=False SizeNotEnforced the volume can grow beyond its size; the status of its node's pool says why"},
		},
		"one whose expansion was refused serves as before": {
			status: state.VolumeStatus{Phase: state.Ready, Enforced: true, Reason: state.NoSpace, Message: "no room"},
			want:   []string{"Ready=True Ready no room", "Healthy=True NothingWrong", "SizeEnforced=True Limited"},
		},
		"one whose data is gone": {
			status: state.VolumeStatus{Phase: state.Ready, Enforced: true, Health: []state.Health{{Type: state.DataLoss, Reason: "Lost", Message: "not in its pool"}}},
			want:   []string{"Ready=True Ready", "Healthy=False Lost not in its pool", "SizeEnforced=True Limited"},
		},
		"one that is being emptied": {
			spec:   state.VolumeSpec{EmptyFor: "claim"},
			status: state.VolumeStatus{Phase: state.Ready, Enforced: true},
			want:   []string{"Ready=False Emptying what a claim before left in it is being removed", "Healthy=True NothingWrong", "SizeEnforced=True Limited"},
		},
		"one that is being deleted": {
			status: state.VolumeStatus{Phase: state.Deleting},
			want:   []string{"Ready=False Deleting"},
		},
		"one whose words no condition can hold": {
			status: state.VolumeStatus{Phase: "名 <&>"},
			want:   []string{"Ready=False Other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := HostPathVolume{Spec: HostPathVolumeSpec{VolumeSpec: test.spec}, Status: HostPathVolumeStatus{VolumeStatus: test.status}}
			v.Conclude()
			wantSaid(t, v.Status.Conditions, test.want...)
		})
	}
}

func TestTheConditionOfASnapshot(t *testing.T) {
	for name, test := range map[string]struct {
		status state.SnapshotStatus
		want   string
	}{
		"one that is being copied":    {state.SnapshotStatus{Phase: state.Copying}, "ReadyToUse=False Copying"},
		"one that is whole":           {state.SnapshotStatus{Phase: state.Ready, ReadyToUse: true}, "ReadyToUse=True Ready"},
		"one that is not whole":       {state.SnapshotStatus{Phase: state.Ready}, "ReadyToUse=False Copying"},
		"one that could not be taken": {state.SnapshotStatus{Phase: state.Failed, Reason: state.NotReady, Message: "pool gone"}, "ReadyToUse=False NotReady pool gone"},
	} {
		t.Run(name, func(t *testing.T) {
			s := HostPathSnapshot{Status: HostPathSnapshotStatus{SnapshotStatus: test.status}}
			s.Conclude()
			wantSaid(t, s.Status.Conditions, test.want)
		})
	}
}

func TestANodeSaysWhichPoolIsNotUsable(t *testing.T) {
	const gi = 1 << 30
	good := state.PoolStatus{Name: "bulk", AvailableBytes: 10*gi + 5, Usage: state.Usage{TotalBytes: 20 * gi}, ReadyVolumes: 3, ReadySnapshots: 1}
	gone := state.PoolStatus{Name: "fast", ReadyVolumes: 2, Health: []state.Health{{Type: state.Inaccessible, Reason: "PoolGone", Message: "mount its disk"}}}
	cordoned := state.PoolStatus{Name: "old", AvailableBytes: 1536 << 20, Usage: state.Usage{TotalBytes: 3 * gi}, Cordoned: "it is to go"}
	for name, test := range map[string]struct {
		pools   []state.PoolStatus
		summary NodeSummary
		want    []string
	}{
		"all are": {
			[]state.PoolStatus{good}, NodeSummary{"1/1", "bulk 10Gi/20Gi", 3, 1},
			[]string{"Ready=True PoolUsable", "PoolsUsable=True AllPoolsUsable"},
		},
		"one is not": {
			[]state.PoolStatus{good, gone}, NodeSummary{"1/2", "bulk 10Gi/20Gi, fast unusable", 5, 1},
			[]string{"Ready=True PoolUsable", "PoolsUsable=False PoolGone pool fast: mount its disk"},
		},
		"none is": {
			[]state.PoolStatus{gone}, NodeSummary{"0/1", "fast unusable", 2, 0},
			[]string{"Ready=False NoPoolUsable pool fast: mount its disk", "PoolsUsable=False PoolGone pool fast: mount its disk"},
		},
		"one takes no new volumes": {
			[]state.PoolStatus{good, cordoned}, NodeSummary{"2/2", "bulk 10Gi/20Gi, old cordoned", 3, 1},
			[]string{"Ready=True PoolUsable", "PoolsUsable=True AllPoolsUsable pool old takes no new volumes: it is to go"},
		},
		"there are none": {
			nil, NodeSummary{Pools: "0/0"},
			[]string{"Ready=False NoPool the configuration gives this node no pool", "PoolsUsable=True NoPool"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := HostPathNode{Status: HostPathNodeStatus{NodeStatus: state.NodeStatus{Pools: test.pools}}}
			n.Conclude()
			wantSaid(t, n.Status.Conditions, append(test.want, "ConfigAccepted=True InForce")...)
			if *n.Status.Summary != test.summary {
				t.Errorf("got %+v, want %+v", n.Status.Summary, test.summary)
			}
		})
	}
}

func TestANodeSaysWhetherItsConfigurationIsInForce(t *testing.T) {
	n := HostPathNode{Status: HostPathNodeStatus{NodeStatus: state.NodeStatus{Pools: []state.PoolStatus{{Name: "bulk"}}}}}
	for _, c := range []struct{ wrong, want string }{
		{"c.yaml:7:9: pools[0].path: got \"srv\"", "ConfigAccepted=False LastGoodInForce c.yaml:7:9: pools[0].path: got \"srv\""},
		{"", "ConfigAccepted=True InForce"},
	} {
		n.Status.ConfigError = c.wrong
		n.Conclude()
		wantSaid(t, n.Status.Conditions, "Ready=True PoolUsable", "PoolsUsable=True AllPoolsUsable", c.want)
	}
}

func TestTheTimeOfAConditionChangesWithIt(t *testing.T) {
	long := metav1.NewTime(time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC))
	v := HostPathVolume{Status: HostPathVolumeStatus{VolumeStatus: state.VolumeStatus{Phase: state.Ready, Enforced: true}}}
	v.Conclude()
	for i := range v.Status.Conditions {
		v.Status.Conditions[i].LastTransitionTime = long
	}
	v.Status.Health = []state.Health{{Type: state.DataLoss, Reason: "Lost"}}
	v.Conclude()
	for _, c := range v.Status.Conditions {
		if changed := !c.LastTransitionTime.Equal(&long); changed != (c.Type == HealthyCondition) {
			t.Errorf("%s: the time changed: %v", c.Type, changed)
		}
	}
	v.Status.Phase = state.Deleting
	v.Conclude()
	if meta.FindStatusCondition(v.Status.Conditions, HealthyCondition) != nil {
		t.Error("a volume that is being deleted is told to be healthy or not")
	}
}

func TestAMessageOfAConditionIsBounded(t *testing.T) {
	v := HostPathVolume{Status: HostPathVolumeStatus{VolumeStatus: state.VolumeStatus{Phase: state.Failed, Message: strings.Repeat("é", 20000)}}}
	v.Conclude()
	if got := len(v.Status.Conditions[0].Message); got > maxMessage+len("…") {
		t.Errorf("a message of %d bytes", got)
	}
}

func TestSizesAreRoundedDown(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0", 1023: "1023", 1024: "1Ki", 1536: "1.5Ki", 2047: "1.9Ki", 10<<20 + 1: "10Mi", 1<<30 - 1: "1023Mi", 5 << 40: "5Ti", 1<<63 - 1: "7.9Ei",
	} {
		if got := rounded(bytes); got != want {
			t.Errorf("%d: got %s, want %s", bytes, got, want)
		}
	}
}
